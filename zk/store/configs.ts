import { createPath } from '../client/create-path.ts'
import {
  CONFIG_CHANGE_PREFIX,
  CONFIG_CHANGES_PATH,
  type ConfigProperties,
  configEntityPath,
  configTypePath,
  decodeConfig,
  encodeConfig,
  encodeConfigChange,
} from '../znodes/index.ts'
import { ANY_VERSION, childrenOf, expectCode, fencedDeletes, readAll, type StoreContext, tolerant } from './context.ts'
import type { KafkaZk } from './types.ts'

type ConfigVerbs = Pick<
  KafkaZk,
  'getConfigs' | 'getAllConfigEntities' | 'setConfig' | 'createConfigChangeNotification' | 'deleteTopicConfig'
>

export function configVerbs(context: StoreContext): ConfigVerbs {
  const { session } = context
  return {
    async getConfigs(type, names) {
      const nodes = await readAll(
        context,
        names.map((name) => configEntityPath(type, name)),
      )
      const configs = new Map<string, ConfigProperties>()
      names.forEach((name, i) => {
        const node = nodes[i]
        if (node !== undefined) configs.set(name, tolerant(context, () => decodeConfig(type, name, node.data ?? null)) ?? {})
      })
      return configs
    },

    getAllConfigEntities: (type, below) =>
      childrenOf(context, below === undefined ? configTypePath(type) : configEntityPath(type, below)),

    async setConfig(type, name, config) {
      const path = configEntityPath(type, name)
      const data = encodeConfig(config)
      const set = await session.request({ op: 'setData', path, data, version: ANY_VERSION })
      if (expectCode(set, 'setData', 'noNode').code === 'ok') return
      const made = await createPath(session, path, data, context.acl)
      if (expectCode(made, 'create', 'nodeExists').code === 'ok') return
      // Made by somebody else in between: 1.1 fails here; the last writer wins either way.
      expectCode(await session.request({ op: 'setData', path, data, version: ANY_VERSION }), 'setData')
    },

    async createConfigChangeNotification(entityPath) {
      expectCode(await createPath(session, CONFIG_CHANGES_PATH, null, context.acl), 'create', 'nodeExists')
      const path = `${CONFIG_CHANGES_PATH}/${CONFIG_CHANGE_PREFIX}`
      const data = encodeConfigChange(entityPath)
      expectCode(
        await session.request({ op: 'create', path, data, mode: 'persistentSequential', acl: context.acl(path) }),
        'create',
      )
    },

    deleteTopicConfig: (topic, fence) => fencedDeletes(context, fence, [configEntityPath('topics', topic)]),
  }
}
