import { commonKeys } from './common-defs.ts'
import { int, notNegative } from './keys.ts'

/** Every key of 1.1's AdminClientConfig. */
export const adminKeys = {
  ...commonKeys,
  'connections.max.idle.ms': { ...commonKeys['connections.max.idle.ms'], default: 300_000 },
  'request.timeout.ms': { ...commonKeys['request.timeout.ms'], default: 120_000 },
  retries: int(5, 'LOW', 'How often a call is sent again after a retriable error.', notNegative),
} as const
