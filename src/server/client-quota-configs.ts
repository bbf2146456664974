import type { KafkaZk } from '../../zk/store/types.ts'
import type { ConfigProperties } from '../../zk/znodes/types.ts'

type EntityReader = Pick<KafkaZk, 'getAllConfigEntities' | 'getConfigs'>

/**
 * What `/config/users` and `/config/clients` say: quotas and SCRAM credentials, by entity path as in ZooKeeper (`users/<user>`,
 * `users/<user>/clients/<client>`, `clients/<client>`; names sanitized, `<default>` for all others). Kept up to date by the notifications.
 */
export class ClientQuotaConfigs {
  readonly #zk: EntityReader
  readonly #entities = new Map<string, ConfigProperties>()

  constructor(zk: EntityReader) {
    this.#zk = zk
  }

  /** Empty when nothing is set. */
  get(entityPath: string): ConfigProperties {
    return this.#entities.get(entityPath) ?? {}
  }

  get all(): ReadonlyMap<string, ConfigProperties> {
    return this.#entities
  }

  /** All of them, at the start. Throws `ZkError`. */
  async readAll(): Promise<void> {
    const users = await this.#zk.getAllConfigEntities('users')
    const nested = await Promise.all(users.map((user) => this.#zk.getAllConfigEntities('users', `${user}/clients`)))
    await this.read('users', [
      ...users,
      ...users.flatMap((user, i) => (nested[i] ?? []).map((client) => `${user}/clients/${client}`)),
    ])
    await this.read('clients', await this.#zk.getAllConfigEntities('clients'))
  }

  /** Some of one type again; an entity without settings is forgotten. */
  async read(type: 'users' | 'clients', entities: readonly string[]): Promise<void> {
    const configs = entities.length > 0 ? await this.#zk.getConfigs(type, entities) : new Map<string, ConfigProperties>()
    for (const entity of entities) {
      const config = configs.get(entity)
      if (config === undefined || Object.keys(config).length === 0) this.#entities.delete(`${type}/${entity}`)
      else this.#entities.set(`${type}/${entity}`, config)
    }
  }
}
