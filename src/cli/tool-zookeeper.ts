import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { ToolError } from './tool.ts'

const TIMEOUT_MS = 30_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** Runs `use` in a session of its own. Throws `ToolError` when ZooKeeper cannot be reached within 30 s. */
export async function withZooKeeper<T>(connect: string, use: (zk: KafkaZk) => Promise<T>): Promise<T> {
  const zk = openKafkaZk({ connect, sessionTimeoutMs: TIMEOUT_MS, connectionTimeoutMs: TIMEOUT_MS }, nodeClock, silent)
  try {
    await zk.session.start()
  } catch (error) {
    throw new ToolError('kafka.zookeeper.ZooKeeperClientTimeoutException', (error as Error).message)
  }
  try {
    return await use(zk)
  } finally {
    await zk.session.close()
  }
}
