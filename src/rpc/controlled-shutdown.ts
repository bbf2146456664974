import type { BrokerId, Millis } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import type { ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../protocol/errors.ts'
import { Channel } from './channel.ts'
import type { VersionTable } from './versions.ts'

export interface ControlledShutdownOptions {
  readonly net: Net
  readonly clock: Clock
  /** Of `kafka.server.KafkaServer`. */
  readonly logger: Logger
  readonly brokerId: BrokerId
  /**
   * Reads `/controller` and the registration of the broker it names; undefined when one of them is missing (or ZooKeeper does
   * not answer). Asked before each attempt.
   */
  readonly findController: () => Promise<
    { readonly brokerId: BrokerId; readonly host: string; readonly port: number } | undefined
  >
  /** `interBrokerVersions` of the configured protocol. */
  readonly versions: VersionTable
  /** True when no other broker lives that could take leaders over: then a failed attempt is not repeated. */
  readonly isAlone?: () => boolean
  /** `controlled.shutdown.max.retries` (3): attempts. */
  readonly maxRetries: number
  /** `controlled.shutdown.retry.backoff.ms` (5000): pause after a failed attempt. */
  readonly retryBackoffMs: Millis
  /** `controller.socket.timeout.ms` (30000): for connecting. */
  readonly socketTimeoutMs: Millis
  /** `request.timeout.ms` (30000): for the answer. */
  readonly requestTimeoutMs: Millis
}

/**
 * Asks the controller to move this broker's leaders away (ControlledShutdown, KIP-less, since 0.8). True when nothing is left to
 * move; false when all attempts failed and the broker stops all the same. The controller may change between attempts; when it
 * can't be found, the one known before is asked again.
 */
export async function controlledShutdown(options: ControlledShutdownOptions): Promise<boolean> {
  const { logger, maxRetries, retryBackoffMs, clock } = options
  if (maxRetries <= 0) return false
  logger.info('Starting controlled shutdown')
  let controller: Awaited<ReturnType<ControlledShutdownOptions['findController']>>
  for (let left = maxRetries; left > 0; left--) {
    controller = (await options.findController()) ?? controller
    if (controller !== undefined && (await attempt(options, controller))) {
      logger.info('Controlled shutdown succeeded')
      return true
    }
    if (options.isAlone?.() === true) break
    if (left > 1) {
      await new Promise<void>((resolve) => void clock.timer(retryBackoffMs, resolve))
      logger.warn('Retrying controlled shutdown after the previous attempt failed...')
    }
  }
  logger.warn('Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed')
  return false
}

async function attempt(
  options: ControlledShutdownOptions,
  controller: { readonly host: string; readonly port: number },
): Promise<boolean> {
  const { logger } = options
  const channel = new Channel({
    net: options.net,
    clock: options.clock,
    address: () => controller,
    clientId: String(options.brokerId),
    versions: options.versions,
    connectTimeoutMs: options.socketTimeoutMs,
    requestTimeoutMs: options.requestTimeoutMs,
    reconnectBackoffMs: 0,
  })
  const response = await new Promise<ResponseOf<'ControlledShutdown'> | undefined>((resolve) => {
    channel.send('ControlledShutdown', { brokerId: options.brokerId }, (error, answer) => {
      if (error !== undefined) {
        logger.warn(
          'Error during controlled shutdown, possibly because leader movement took longer than the configured ' +
            `controller.socket.timeout.ms and/or request.timeout.ms: ${error.message}`,
        )
      }
      resolve(answer)
    })
  })
  channel.close()
  if (response === undefined) return false
  if (response.errorCode === ErrorCode.NONE && response.partitionsRemaining.length === 0) return true
  const remaining = response.partitionsRemaining.map(({ topic, partition }) => `${topic}-${partition}`)
  logger.info(`Remaining partitions to move: ${remaining.join(',')}`)
  logger.info(`Error from controller: ${errorName(response.errorCode)}`)
  return false
}
