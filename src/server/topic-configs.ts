import type { KafkaZk } from '../../zk/store/types.ts'
import type { ConfigProperties } from '../../zk/znodes/types.ts'
import type { KafkaVersion } from '../base/kafka-version.ts'
import type { Logger } from '../base/logger.ts'
import { makeLogConfig } from '../log/log-config.ts'
import type { LogConfig } from '../log/types.ts'

/** The configuration of every topic that this broker has seen, from `/config/topics`. */
export class TopicConfigs {
  readonly #zk: KafkaZk
  readonly #log: Logger
  #brokerDefaults: Readonly<Record<string, string>>
  readonly #formatLimit: KafkaVersion
  readonly #overrides = new Map<string, ConfigProperties>()
  readonly #known = new Map<string, LogConfig>()
  #default: LogConfig

  constructor(zk: KafkaZk, log: Logger, brokerDefaults: Readonly<Record<string, string>>, formatLimit: KafkaVersion) {
    this.#zk = zk
    this.#log = log
    this.#brokerDefaults = brokerDefaults
    this.#formatLimit = formatLimit
    this.#default = makeLogConfig(brokerDefaults, {}, formatLimit)
  }

  /** The broker's defaults for a topic without overrides. */
  get defaults(): LogConfig {
    return this.#default
  }

  /** As last read. */
  get(topic: string): LogConfig {
    return this.#known.get(topic) ?? this.#default
  }

  /** What the topic itself sets, as last read. */
  overrides(topic: string): ConfigProperties {
    return this.#overrides.get(topic) ?? {}
  }

  has(topic: string): boolean {
    return this.#known.has(topic)
  }

  /** A deleted topic: its name may come back with another configuration. */
  forget(topic: string): void {
    this.#known.delete(topic)
    this.#overrides.delete(topic)
  }

  /** The broker's settings have changed: every topic's configuration is made anew over them. */
  changeDefaults(brokerDefaults: Readonly<Record<string, string>>): void {
    this.#brokerDefaults = brokerDefaults
    this.#default = makeLogConfig(brokerDefaults, {}, this.#formatLimit)
    for (const [topic, overrides] of this.#overrides) this.#known.set(topic, this.#make(topic, overrides))
  }

  /** Reads them again, pipelined. Throws `ZkError`. */
  async read(topics: readonly string[]): Promise<Map<string, LogConfig>> {
    const overrides = await this.#zk.getConfigs('topics', topics)
    const configs = new Map<string, LogConfig>()
    for (const topic of topics) {
      const own = overrides.get(topic) ?? {}
      const config = this.#make(topic, own)
      this.#overrides.set(topic, own)
      this.#known.set(topic, config)
      configs.set(topic, config)
    }
    return configs
  }

  /** Settings that 1.1 does not check when they are written may be wrong: then the broker's defaults hold, and the log says so. */
  #make(topic: string, overrides: ConfigProperties): LogConfig {
    if (Object.keys(overrides).length === 0) return this.#default
    try {
      return makeLogConfig(this.#brokerDefaults, overrides, this.#formatLimit)
    } catch (error) {
      this.#log.error(
        `Configuration of topic ${topic} in ZooKeeper is not usable, broker defaults are used: ${(error as Error).message}`,
      )
      return this.#default
    }
  }
}
