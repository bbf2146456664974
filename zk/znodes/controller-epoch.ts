import { integerOf } from './znode.ts'

/**
 * `/controller_epoch`, persistent, never deleted: decimal text, `1` at the first election, one more at each. The same since 0.8.
 * Created at version 0, so that undisturbed the version is one less than the epoch. 1.1 takes the version of a node that it has just
 * created for 1, without consequence there; we take the real one, since our writes check it.
 */
export const CONTROLLER_EPOCH_PATH = '/controller_epoch'

export function encodeControllerEpoch(epoch: number): Buffer {
  return Buffer.from(String(epoch))
}

export function decodeControllerEpoch(data: Buffer | null): number {
  return integerOf(CONTROLLER_EPOCH_PATH, data)
}
