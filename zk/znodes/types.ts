/** Values that Kafka keeps in znodes, decoded. Plain data; the files beside this one encode and decode them. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Upper case, e.g. PLAINTEXT, INTERNAL. */
  readonly listenerName: string
  readonly securityProtocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
}

/** `/brokers/ids/<id>` */
export interface BrokerRegistration {
  readonly brokerId: number
  readonly endpoints: readonly Endpoint[]
  readonly rack?: string
  readonly jmxPort: number
  /** Set by reads, never written: the znode's czxid, which tells one registration of a broker from the next. */
  readonly czxid?: bigint
}

/** `/brokers/topics/<t>/partitions/<p>/state` together with the znode's version. */
export interface PartitionState {
  /** -1: none. */
  readonly leader: number
  readonly leaderEpoch: number
  readonly isr: readonly number[]
  /** Epoch of the controller that took the last leadership decision. */
  readonly controllerEpoch: number
  readonly zkVersion: number
}

/** Partition id -> replicas, the first being the preferred leader. */
export type TopicAssignment = ReadonlyMap<number, readonly number[]>

export interface PartitionRef {
  readonly topic: string
  readonly partition: number
}

export type ConfigEntityType = 'topics' | 'clients' | 'users' | 'brokers'
export type ConfigProperties = Readonly<Record<string, string>>
