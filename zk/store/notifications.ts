import {
  CONFIG_CHANGES_PATH,
  configChangePath,
  decodeIsrChange,
  decodeLogDirEvent,
  encodeIsrChange,
  encodeLogDirEvent,
  ISR_CHANGE_PATH,
  ISR_CHANGE_PREFIX,
  isrChangePath,
  LOG_DIR_EVENT_PATH,
  LOG_DIR_EVENT_PREFIX,
  logDirEventPath,
} from '../znodes/index.ts'
import {
  ANY_VERSION,
  childrenOf,
  expectCode,
  fencedDeletes,
  outcomeOf,
  read,
  readAll,
  type StoreContext,
  tolerant,
} from './context.ts'
import type { KafkaZk } from './types.ts'

type NotificationVerbs = Pick<
  KafkaZk,
  | 'createIsrChangeNotification'
  | 'getIsrChangeNotifications'
  | 'readIsrChangeNotifications'
  | 'deleteIsrChangeNotifications'
  | 'createLogDirEventNotification'
  | 'getLogDirEventNotifications'
  | 'readLogDirEventNotifications'
  | 'deleteLogDirEventNotifications'
  | 'getConfigChangeNotifications'
  | 'readConfigChangeNotification'
  | 'deleteConfigChangeNotification'
>

export function notificationVerbs(context: StoreContext): NotificationVerbs {
  const { session } = context
  const createSequential = (path: string, data: Buffer) =>
    session.request({ op: 'create', path, data, mode: 'persistentSequential', acl: context.acl(path) })
  const sorted = async (path: string) => (await childrenOf(context, path)).sort()
  return {
    async createIsrChangeNotification(partitions) {
      return outcomeOf(await createSequential(`${ISR_CHANGE_PATH}/${ISR_CHANGE_PREFIX}`, encodeIsrChange(partitions)))
    },
    getIsrChangeNotifications: () => sorted(ISR_CHANGE_PATH),
    async readIsrChangeNotifications(names) {
      const nodes = await readAll(context, names.map(isrChangePath))
      return names.flatMap((name, i) => {
        const node = nodes[i]
        return node === undefined ? [] : (tolerant(context, () => decodeIsrChange(name, node.data ?? null)) ?? [])
      })
    },
    deleteIsrChangeNotifications: (names, fence) => fencedDeletes(context, fence, names.map(isrChangePath)),

    async createLogDirEventNotification(brokerId) {
      expectCode(await createSequential(`${LOG_DIR_EVENT_PATH}/${LOG_DIR_EVENT_PREFIX}`, encodeLogDirEvent(brokerId)), 'create')
    },
    getLogDirEventNotifications: () => sorted(LOG_DIR_EVENT_PATH),
    async readLogDirEventNotifications(names) {
      const nodes = await readAll(context, names.map(logDirEventPath))
      return names.flatMap((name, i) => {
        const node = nodes[i]
        const broker = node === undefined ? undefined : tolerant(context, () => decodeLogDirEvent(name, node.data ?? null))
        return broker === undefined ? [] : [broker]
      })
    },
    deleteLogDirEventNotifications: (names, fence) => fencedDeletes(context, fence, names.map(logDirEventPath)),

    getConfigChangeNotifications: () => sorted(CONFIG_CHANGES_PATH),
    async readConfigChangeNotification(name) {
      const node = await read(context, configChangePath(name))
      return node === undefined ? undefined : { name, data: node.data ?? null, ctime: node.stat!.ctime }
    },
    async deleteConfigChangeNotification(name) {
      const path = configChangePath(name)
      expectCode(await session.request({ op: 'delete', path, version: ANY_VERSION }), 'delete', 'noNode')
    },
  }
}
