/** What the clients need of the world; tests and the simulator give their own. */

import { type KafkaZk, type KafkaZkOptions, openKafkaZk } from '../../zk/store/index.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { Clock } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { hostName } from '../ports/node/host.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { nodeRng } from '../ports/node/rng.ts'
import type { Rng } from '../ports/rng.ts'

export interface Environment {
  readonly net: Net
  readonly clock: Clock
  readonly rng: Rng
  /** Default: says nothing. */
  readonly log: Logger
  /** A session that is not started. */
  readonly openZk: (options: KafkaZkOptions) => KafkaZk
  /** Part of the ids of classic consumers. */
  readonly hostName: string
}

/** One receive buffer for all clients of the process. */
let sharedNet: Net | undefined

/** The real world; parts may be replaced. */
export function environmentOf(parts: Partial<Environment> = {}): Environment {
  const clock = parts.clock ?? nodeClock
  const log = parts.log ?? silentLogger()
  sharedNet ??= parts.net === undefined ? createNodeNet() : undefined
  return {
    net: parts.net ?? sharedNet ?? createNodeNet(),
    clock,
    rng: parts.rng ?? nodeRng,
    log,
    openZk: parts.openZk ?? ((options) => openKafkaZk(options, clock, log)),
    hostName: parts.hostName ?? hostName(),
  }
}
