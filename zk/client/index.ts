export { createPath } from './create-path.ts'
export { openZkSession } from './session.ts'
export * from './types.ts'
