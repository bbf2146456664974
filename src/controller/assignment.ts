import type { BrokerId } from '../base/ids.ts'
import { scalaIntOrder } from './partition-order.ts'
import { TopicAdminError } from './topic-errors.ts'

/**
 * `enforced`: some racks missing is an error (tools). `safe`: then racks are ignored (automatic creation). `disabled`: always ignored.
 * `none`: what is known is used, and some missing is an error of its own (CreateTopics of 1.1).
 */
export type RackAwareMode = 'enforced' | 'safe' | 'disabled' | 'none'

export interface AssignmentBroker {
  readonly id: BrokerId
  readonly rack?: string
}

/** Where to begin: both random in 1.1, so that topics spread. */
export interface AssignmentStart {
  readonly startIndex: number
  readonly shift: number
}

export interface AssignmentRequest {
  readonly partitions: number
  readonly replicationFactor: number
  /** First partition id, default 0. */
  readonly firstPartition?: number
  readonly start: AssignmentStart
}

/** Applies a mode to brokers as registered; ascending by id. Throws `TopicAdminError`. */
export function brokersForAssignment(
  registered: readonly { readonly brokerId: BrokerId; readonly rack?: string }[],
  mode: RackAwareMode,
): AssignmentBroker[] {
  const sorted = registered.toSorted((a, b) => a.brokerId - b.brokerId)
  const withRack = sorted.filter((broker) => broker.rack !== undefined).length
  const mixed = withRack > 0 && withRack < sorted.length
  if (mixed && mode === 'enforced') {
    throw new TopicAdminError(
      'AdminOperationException',
      'Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.',
    )
  }
  const ignore = mode === 'disabled' || (mixed && mode === 'safe')
  return sorted.map(({ brokerId, rack }) => (ignore || rack === undefined ? { id: brokerId } : { id: brokerId, rack }))
}

/**
 * Replicas for new partitions: leaders round robin, followers shifted so that a broker's partitions share followers with many others;
 * with racks, replicas of a partition on as many racks as there are. Throws `TopicAdminError` for counts that cannot be served.
 */
export function assignReplicas(
  brokers: readonly AssignmentBroker[],
  request: AssignmentRequest,
): Map<number, readonly BrokerId[]> {
  const { partitions, replicationFactor } = request
  if (partitions <= 0) throw new TopicAdminError('InvalidPartitionsException', 'Number of partitions must be larger than 0.')
  if (replicationFactor <= 0) {
    throw new TopicAdminError('InvalidReplicationFactorException', 'Replication factor must be larger than 0.')
  }
  if (replicationFactor > brokers.length) {
    throw new TopicAdminError(
      'InvalidReplicationFactorException',
      `Replication factor: ${replicationFactor} larger than available brokers: ${brokers.length}.`,
    )
  }
  const withRack = brokers.filter((broker) => broker.rack !== undefined).length
  if (withRack === 0) return rackUnaware(brokers, request)
  if (withRack < brokers.length) {
    throw new TopicAdminError(
      'AdminOperationException',
      'Not all brokers have rack information for replica rack aware assignment.',
    )
  }
  return rackAware(brokers, request)
}

function rackUnaware(brokers: readonly AssignmentBroker[], request: AssignmentRequest): Map<number, readonly BrokerId[]> {
  const n = brokers.length
  return eachPartition(n, request, (first, shift) => {
    const replicas = [brokers[first]!.id]
    for (let j = 0; j < request.replicationFactor - 1; j++) replicas.push(brokers[followerIndex(first, shift, j, n)]!.id)
    return replicas
  })
}

/** A follower is taken if it brings a new rack (or all have one) and is a new broker (or all have been used). */
function rackAware(brokers: readonly AssignmentBroker[], request: AssignmentRequest): Map<number, readonly BrokerId[]> {
  const list = interleaveRacks(brokers)
  const n = list.length
  const rackCount = new Set(list.map((broker) => broker.rack)).size
  return eachPartition(n, request, (first, shift) => {
    const replicas = [list[first]!.id]
    const racks = new Set([list[first]!.rack])
    for (let looked = 0; replicas.length < request.replicationFactor; looked++) {
      const { id, rack } = list[followerIndex(first, shift * rackCount, looked, n)]!
      const rackIsFree = !racks.has(rack) || racks.size === rackCount
      const brokerIsFree = !replicas.includes(id) || replicas.length === n
      if (!rackIsFree || !brokerIsFree) continue
      replicas.push(id)
      racks.add(rack)
    }
    return replicas
  })
}

function eachPartition(
  brokerCount: number,
  { partitions, firstPartition = 0, start }: AssignmentRequest,
  replicasOf: (first: number, shift: number) => BrokerId[],
): Map<number, readonly BrokerId[]> {
  const assignment = new Map<number, readonly BrokerId[]>()
  let { shift } = start
  let partition = Math.max(0, firstPartition)
  for (let i = 0; i < partitions; i++, partition++) {
    if (partition > 0 && partition % brokerCount === 0) shift++
    assignment.set(partition, replicasOf((partition + start.startIndex) % brokerCount, shift))
  }
  return inScalaOrder(assignment)
}

/** Never the first one: 1 to n - 1 places behind it. */
function followerIndex(first: number, shift: number, follower: number, brokerCount: number): number {
  return (first + 1 + ((shift + follower) % (brokerCount - 1))) % brokerCount
}

/** One broker per rack in turn: racks by name, brokers of a rack by id. */
export function interleaveRacks(brokers: readonly AssignmentBroker[]): AssignmentBroker[] {
  const racks = new Map<string, AssignmentBroker[]>()
  for (const broker of brokers.toSorted((a, b) => a.id - b.id)) {
    const rack = broker.rack ?? ''
    const group = racks.get(rack)
    if (group) group.push(broker)
    else racks.set(rack, [broker])
  }
  const names = [...racks.keys()].sort()
  const list: AssignmentBroker[] = []
  for (let turn = 0; list.length < brokers.length; turn++) {
    for (const name of names) {
      const broker = racks.get(name)?.[turn]
      if (broker) list.push(broker)
    }
  }
  return list
}

/** Up to four partitions are written in the order of 1.1's map; more are ordered by the znode's encoder. */
export function inScalaOrder(assignment: ReadonlyMap<number, readonly BrokerId[]>): Map<number, readonly BrokerId[]> {
  if (assignment.size > 4) return new Map(assignment)
  return new Map(scalaIntOrder([...assignment.keys()]).map((partition) => [partition, assignment.get(partition)!]))
}
