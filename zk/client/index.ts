export { createPath } from './create-path.ts'
export type { GuardEvent, GuardOptions, OpenZkConnection, ZkConnection } from './guard.ts'
export { openZkSession } from './session.ts'
export * from './types.ts'
