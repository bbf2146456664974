import { GuardedConnection } from '../../zk/client/guard.ts'
import type { ZkLog } from '../../zk/client/types.ts'
import type { Clock } from '../ports/clock.ts'
import type { SessionIdentity } from './broker-instance.ts'

const PATIENCE_MS = 10_000
const SILENT: ZkLog = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Ends a session in its owner's place: goes on with it on a connection of our own (the server then drops the owner's) and closes it. The owner
 * is told that it has expired when it comes back. A session that is over already is fine.
 */
export function endSession(connect: string, { sessionId, password }: SessionIdentity, clock: Clock): Promise<void> {
  const id = Buffer.alloc(8)
  id.writeBigInt64BE(sessionId)
  return new Promise((resolve, reject) => {
    const finish = (problem?: string): void => {
      timer.cancel()
      connection.dispose()
      if (problem === undefined) resolve()
      else reject(new Error(`ZooKeeper session 0x${sessionId.toString(16)} at ${connect} cannot be ended: ${problem}`))
    }
    const timer = clock.timer(PATIENCE_MS, () => finish(`no answer within ${PATIENCE_MS} ms`))
    const connection = new GuardedConnection(
      {
        connect,
        sessionTimeoutMs: PATIENCE_MS,
        auth: [],
        maxPacketBytes: 1024 * 1024,
        refusedForEverMs: PATIENCE_MS,
        resume: { sessionId: id, password },
        onEvent: (event) => {
          if (event === 'expired') finish()
          else if (event === 'connected') connection.close().then(() => finish(), reject)
          else if (event !== 'lost') finish(event)
        },
        onWatchEvent: () => {},
        watchPaths: () => ({ data: [], exist: [], child: [] }),
      },
      clock,
      SILENT,
    )
    connection.start()
  })
}
