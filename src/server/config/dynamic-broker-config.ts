import type { ConfigProperties } from '../../../zk/znodes/types.ts'
import { ConfigException, IllegalConfigError } from '../../base/config-def.ts'
import type { Logger } from '../../base/logger.ts'
import type { BrokerConfig } from './broker-config.ts'
import { parseBrokerConfig } from './broker-config.ts'
import { DYNAMIC_BROKER_CONFIG_DEF, isPassword, isPerBroker, isReadOnly, isSecurity, withoutListener } from './dynamic-keys.ts'
import { decodePassword, encodePassword } from './dynamic-passwords.ts'

/** Something that takes part in a change: checks it, and later makes it work. */
export interface ConfigFollower {
  /** Names (of `server.properties`) that concern it. */
  readonly names: ReadonlySet<string>
  /** Throws `ConfigException` when the change is not possible. Nothing is changed. */
  validate(next: BrokerConfig, now: BrokerConfig): void
  /** The change holds from now on. */
  apply(next: BrokerConfig, previous: BrokerConfig): void | Promise<void>
}

/** Name of the cluster-wide default in `/config/brokers`. */
export const DEFAULT_BROKERS_ENTITY = '<default>'

/**
 * The settings of a running broker (KIP-226): those of `server.properties`, over them the cluster's defaults from
 * `/config/brokers/<default>`, over them the broker's own from `/config/brokers/<id>`. `current` is the sum; followers are told when it
 * changes.
 */
export class DynamicBrokerConfig {
  readonly #static: ReadonlyMap<string, string>
  readonly #log: Logger
  readonly #followers: ConfigFollower[] = []
  #current: BrokerConfig
  #clusterDefaults: ReadonlyMap<string, string> = new Map()
  #ofBroker: ReadonlyMap<string, string> = new Map()

  constructor(fromFile: BrokerConfig, log: Logger) {
    this.#static = fromFile.values.originals
    this.#current = fromFile
    this.#log = log
  }

  get current(): BrokerConfig {
    return this.#current
  }

  /** As in `server.properties`. */
  get fromFile(): ReadonlyMap<string, string> {
    return this.#static
  }

  /** As in ZooKeeper, without what is not usable. */
  get clusterDefaults(): ReadonlyMap<string, string> {
    return this.#clusterDefaults
  }

  get ofBroker(): ReadonlyMap<string, string> {
    return this.#ofBroker
  }

  follow(follower: ConfigFollower): void {
    this.#followers.push(follower)
  }

  /** May an AlterConfigs write this? Throws `ConfigException` or `IllegalConfigError` with 1.1's words. */
  validate(wanted: ConfigProperties, perBroker: boolean): void {
    checkNames(wanted, perBroker)
    const properties = new Map(Object.entries(wanted))
    const next = perBroker ? this.#sum(this.#clusterDefaults, properties) : this.#sum(properties, this.#ofBroker)
    const config = parseBrokerConfig(next)
    const changed = changedNames(this.#current.values.originals, next)
    if (changed.size === 0) return
    try {
      for (const follower of this.#concerned(changed)) follower.validate(config, this.#current)
    } catch (error) {
      if (!(error instanceof ConfigException || error instanceof IllegalConfigError)) throw error
      throw new ConfigException(`Invalid value ${error.name}: ${error.message} for configuration Invalid dynamic configuration`)
    }
  }

  /** As it is to be written to ZooKeeper: passwords encrypted. Throws `ConfigException` when there is no secret to do it with. */
  toPersistent(properties: ConfigProperties, random: (length: number) => Buffer): Record<string, string> {
    return Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [
        name,
        isPassword(name) ? encodePassword(value, this.#current, random) : value,
      ]),
    )
  }

  /** What `/config/brokers/<default>` says now. Never throws for wrong settings: they are left out, and the log says so. */
  async setClusterDefaults(properties: ConfigProperties): Promise<void> {
    this.#clusterDefaults = this.#usable(properties, false)
    await this.#update()
  }

  /** What `/config/brokers/<id>` says now. */
  async setOfBroker(properties: ConfigProperties): Promise<void> {
    this.#ofBroker = this.#usable(properties, true)
    await this.#update()
  }

  #sum(clusterDefaults: ReadonlyMap<string, string>, ofBroker: ReadonlyMap<string, string>): Map<string, string> {
    return new Map([...this.#static, ...clusterDefaults, ...ofBroker])
  }

  #concerned(changed: ReadonlySet<string>): ConfigFollower[] {
    return this.#followers.filter(({ names }) =>
      [...changed].some((name) => names.has(name) || names.has(withoutListener(name) ?? '')),
    )
  }

  /** Somebody may have written to ZooKeeper past AlterConfigs. */
  #usable(properties: ConfigProperties, perBroker: boolean): Map<string, string> {
    const usable = new Map<string, string>()
    for (const [name, value] of Object.entries(properties)) {
      try {
        const plain = isPassword(name) ? decodePassword(value, this.#current) : value
        checkNames({ [name]: plain }, perBroker)
        usable.set(name, plain)
      } catch (error) {
        this.#log.error(`Dynamic broker configuration ${name} in ZooKeeper is ignored: ${(error as Error).message}`)
      }
    }
    return usable
  }

  async #update(): Promise<void> {
    const previous = this.#current
    const properties = this.#sum(this.#clusterDefaults, this.#ofBroker)
    const changed = changedNames(previous.values.originals, properties)
    if (changed.size === 0) return
    const concerned = this.#concerned(changed)
    try {
      const next = parseBrokerConfig(properties)
      for (const follower of concerned) follower.validate(next, previous)
      this.#current = next
    } catch (error) {
      if (!(error instanceof ConfigException || error instanceof IllegalConfigError)) throw error
      this.#log.error(`Failed to update broker configuration with ${[...changed].join(', ')}: ${error.message}`)
      return
    }
    this.#log.info(`Broker configuration changed: ${[...changed].join(', ')}`)
    for (const follower of concerned) await follower.apply(this.#current, previous)
  }
}

function refuse(names: readonly string[], message: string): void {
  if (names.length > 0) throw new ConfigException(`${message}: Set(${names.join(', ')})`)
}

/** Which names may be changed, and their types; unknown names pass, as in 1.1. */
function checkNames(wanted: ConfigProperties, perBroker: boolean): void {
  const names = Object.keys(wanted)
  refuse(names.filter(isReadOnly), 'Cannot update these configs dynamically')
  refuse(
    names.filter(isSecurity),
    'These security configs can be dynamically updated only per-listener using the listener prefix',
  )
  for (const [name, value] of Object.entries(wanted)) {
    const key = DYNAMIC_BROKER_CONFIG_DEF.key(withoutListener(name) ?? name)
    if (key) DYNAMIC_BROKER_CONFIG_DEF.parseOne(key, value)
  }
  if (perBroker) return
  refuse(names.filter(isPerBroker), 'Cannot update these configs at default cluster level, broker id must be specified')
}

function changedNames(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): Set<string> {
  return new Set([...before.keys(), ...after.keys()].filter((name) => before.get(name) !== after.get(name)))
}
