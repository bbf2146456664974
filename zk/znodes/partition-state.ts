import { topicPath } from './topic.ts'
import type { PartitionState } from './types.ts'
import { Fields } from './znode.ts'

/**
 * `/brokers/topics/<t>/partitions/<p>/state`, persistent, since 0.8; its parents hold null data. Made by the controller, which raises
 * `leader_epoch` by one with each of its writes; the leader changes only `isr`. The znode's version is what the next writer must name.
 * `controller_epoch` is that of the last leadership decision. `leader` is -1 when there is none.
 *
 * 0.8.0: `{ "controller_epoch":1, "isr":[ 0, 1 ], "leader":0, "leader_epoch":0, "version":1 }`.
 * 0.8.1 - 1.1: `{"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0,1,2]}`.
 */
export function partitionsPath(topic: string): string {
  return `${topicPath(topic)}/partitions`
}
export function partitionPath(topic: string, partition: number): string {
  return `${partitionsPath(topic)}/${partition}`
}
export function partitionStatePath(topic: string, partition: number): string {
  return `${partitionPath(topic, partition)}/state`
}

export function encodePartitionState({ controllerEpoch, leader, leaderEpoch, isr }: Omit<PartitionState, 'zkVersion'>): Buffer {
  return Buffer.from(
    `{"controller_epoch":${controllerEpoch},"leader":${leader},"version":1,"leader_epoch":${leaderEpoch},"isr":[${isr.join(',')}]}`,
  )
}

const INT = '0|[1-9]\\d{0,8}'
/** As 0.8.1 and later write it: a failover reads thousands of them. */
const USUAL = new RegExp(
  `^\\{"controller_epoch":(${INT}),"leader":(-1|${INT}),"version":1,"leader_epoch":(${INT}),"isr":\\[((?:(?:${INT}),)*(?:${INT}))\\]\\}$`,
)

export function decodePartitionState(topic: string, partition: number, data: Buffer | null, zkVersion: number): PartitionState {
  const usual = data === null ? null : USUAL.exec(data.toString('latin1'))
  if (usual !== null) {
    const [, controllerEpoch, leader, leaderEpoch, isr] = usual
    return {
      leader: Number(leader),
      leaderEpoch: Number(leaderEpoch),
      isr: isr!.split(',').map(Number),
      controllerEpoch: Number(controllerEpoch),
      zkVersion,
    }
  }
  const fields = Fields.of(partitionStatePath(topic, partition), data)
  return {
    leader: fields.int('leader'),
    leaderEpoch: fields.int('leader_epoch'),
    isr: fields.ints('isr'),
    controllerEpoch: fields.int('controller_epoch'),
    zkVersion,
  }
}

/** Same leader, epochs and ISR in order: 1.1's rule for recognising one's own write. */
export function sameState(a: Omit<PartitionState, 'zkVersion'>, b: Omit<PartitionState, 'zkVersion'>): boolean {
  return (
    a.leader === b.leader &&
    a.leaderEpoch === b.leaderEpoch &&
    a.controllerEpoch === b.controllerEpoch &&
    a.isr.length === b.isr.length &&
    a.isr.every((id, i) => id === b.isr[i])
  )
}
