import { type KafkaZk, ZkError } from '../../zk/store/types.ts'

import { brokerIdPath } from '../../zk/znodes/broker-id.ts'
import type { BrokerRegistration } from '../../zk/znodes/types.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'

/** Another session owns `/brokers/ids/<id>`. */
export class BrokerIdInUseError extends Error {
  override readonly name = 'kafka.common.KafkaException'
}

const POLL_MS = 200
/** The server looks for expired sessions only so often (its tickTime); a session may live that much longer. */
const EXPIRY_SLACK_MS = 3_000

/**
 * Somebody may have emptied ZooKeeper: then the paths that a broker expects are made again, as a start makes them. (1.1 stays unregistered
 * until it is started again.)
 */
async function create(zk: KafkaZk, registration: BrokerRegistration, log: Logger): Promise<'registered' | 'exists'> {
  try {
    return await zk.registerBroker(registration)
  } catch (error) {
    if (!(error instanceof ZkError) || error.code !== 'noNode') throw error
    log.warn(`/brokers/ids is gone; creating the persistent paths in ZooKeeper again`)
    await zk.makePersistentPaths()
    return zk.registerBroker(registration)
  }
}

/**
 * Registers the broker. A node of another session may be the rest of an earlier life of this broker: it goes with its session, so it is
 * waited for. Rejects with `BrokerIdInUseError` when it is still there after the session timeout: then another broker has the id.
 */
export async function registerBroker(
  zk: KafkaZk,
  registration: BrokerRegistration,
  clock: Clock,
  log: Logger,
  shouldStop: () => boolean,
): Promise<void> {
  const { brokerId } = registration
  const timeoutMs = zk.session.sessionTimeoutMs
  const deadline = clock.now() + timeoutMs + EXPIRY_SLACK_MS
  let isTold = false
  log.info(`Creating ${brokerIdPath(brokerId)} (is it secure? false)`)
  while ((await create(zk, registration, log)) === 'exists') {
    if (clock.now() >= deadline || shouldStop()) {
      throw new BrokerIdInUseError(
        `A broker is already registered on the path /brokers/ids/${brokerId}: broker.id ${brokerId} is used by another broker`,
      )
    }
    if (!isTold) {
      log.warn(`/brokers/ids/${brokerId} belongs to another session; waiting up to ${timeoutMs} ms for that session to end`)
      isTold = true
    }
    do {
      await new Promise<void>((resolve) => void clock.timer(POLL_MS, resolve))
    } while (clock.now() < deadline && !shouldStop() && (await zk.pathExists(brokerIdPath(brokerId))))
  }
  log.info(`Result of znode creation at ${brokerIdPath(brokerId)} is: OK`)
  const shown = registration.endpoints.map(
    ({ listenerName, host, port, securityProtocol }) =>
      `EndPoint(${host},${port},ListenerName(${listenerName}),${securityProtocol})`,
  )
  log.info(`Registered broker ${brokerId} at path /brokers/ids/${brokerId} with addresses: ArrayBuffer(${shown.join(', ')})`)
}
