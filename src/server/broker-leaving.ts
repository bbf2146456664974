import type { KafkaZk } from '../../zk/store/types.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import { controlledShutdown } from '../rpc/controlled-shutdown.ts'
import { interBrokerVersions } from '../rpc/versions.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import type { MetadataCache } from './metadata-cache.ts'

/** What a broker needs to leave its cluster. */
export interface Leaving {
  readonly brokerId: number
  readonly config: BrokerConfig
  readonly zk: KafkaZk
  readonly metadataCache: MetadataCache
  readonly clock: Clock
  readonly net: Net
  readonly log: Logger
}

interface ControllerAddress {
  readonly brokerId: number
  readonly host: string
  readonly port: number
}

/** Controlled shutdown: the controller moves the leaders away. Returns when that is done or has failed for good. */
export async function moveLeadersAway(leaving: Leaving): Promise<void> {
  const { brokerId, config, metadataCache, zk, net, clock, log } = leaving
  const { values } = config
  // While ZooKeeper is away the controller most likely can't move anything either: it gets one chance, as long as a session lives.
  const isAway = zk.session.state !== 'connected'
  const patience = values.number('request.timeout.ms')
  await controlledShutdown({
    net,
    clock,
    logger: log,
    brokerId,
    findController: () => findController(leaving),
    versions: interBrokerVersions(config.interBrokerProtocolVersion),
    isAlone: () => [...metadataCache.brokers.keys()].every((id) => id === brokerId),
    maxRetries: isAway ? 1 : values.number('controlled.shutdown.max.retries'),
    retryBackoffMs: values.number('controlled.shutdown.retry.backoff.ms'),
    socketTimeoutMs: values.number('controller.socket.timeout.ms'),
    requestTimeoutMs: isAway ? Math.min(patience, config.zookeeperSessionTimeoutMs) : patience,
  })
}

/** As ZooKeeper names it; while ZooKeeper is away, as the last UpdateMetadata named it. */
async function findController({ zk, config, metadataCache, clock }: Leaving): Promise<ControllerAddress | undefined> {
  const listener = config.interBrokerListenerName
  const asked = async (): Promise<ControllerAddress | undefined> => {
    const id = await zk.getControllerId()
    const broker = id === undefined ? undefined : await zk.getBroker(id)
    const endpoint = broker?.endpoints.find(({ listenerName }) => listenerName === listener)
    return endpoint && { brokerId: id!, host: endpoint.host, port: endpoint.port }
  }
  const known = (): ControllerAddress | undefined => {
    const brokerId = metadataCache.controllerId
    const endpoint = metadataCache.endpoint(brokerId, listener)
    return endpoint && { brokerId, host: endpoint.host, port: endpoint.port }
  }
  if (zk.session.state !== 'connected') return known()
  // The session may be lost in the middle; requests then wait for the next one, this shutdown does not.
  let timer: Timer | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = clock.timer(config.zookeeperSessionTimeoutMs, () => resolve('late'))
  })
  const answer = await Promise.race([asked(), late]).finally(() => timer?.cancel())
  return answer === 'late' ? known() : answer
}

/**
 * Stops a part whose work in progress may wait for ZooKeeper. While that is away such work ends only with the session, so the session is
 * closed when it could not be resumed for as long as it may live.
 */
export async function stopUsing(zk: KafkaZk, clock: Clock, sessionTimeoutMs: number, stop: () => unknown): Promise<void> {
  let timer: Timer | undefined
  const watch = (): void => {
    timer = clock.timer(sessionTimeoutMs, () => {
      if (zk.session.state === 'connected') watch()
      else void zk.session.close()
    })
  }
  watch()
  try {
    await stop()
  } finally {
    timer?.cancel()
  }
}
