import type { BrokerId, PartitionId } from '../base/ids.ts'
import type { Asker } from './types.ts'

/** Java's String.hashCode, int32. */
export function javaStringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** Which of `num.replica.fetchers` fetchers of a leader takes the partition; as 1.1, so that both sides of a mixed cluster spread alike. */
export function fetcherIndex(topic: string, partition: PartitionId, fetchers: number): number {
  const hash = (Math.imul(31, javaStringHash(topic)) + partition) | 0
  return (hash === -2147483648 ? 0 : Math.abs(hash)) % fetchers
}

export function fetcherClientId(replica: BrokerId, index: number): string {
  return `broker-${replica}-fetcher-${index}`
}

/** The broker whose fetcher has this client id; undefined for other clients. */
export function followerOf(clientId: string | null, connection: number): Asker | undefined {
  const id = clientId === null ? undefined : /^broker-(\d+)-fetcher-\d+$/.exec(clientId)?.[1]
  return id === undefined ? undefined : { id: Number(id), connection }
}
