import { ConfigException } from '../base/config-def.ts'
import { TopicAdminError } from '../controller/topic-errors.ts'
import { UnknownTopicConfigError } from '../log/log-config.ts'
import { ErrorCode, wireErrorMessage } from '../protocol/errors.ts'

export interface ApiError {
  readonly code: number
  /** null where clients know the text by the code. */
  readonly message: string | null
}

/** What an administration error is on the wire. `isExpected` false: a fault of ours or of ZooKeeper, worth a stack in the log. */
export function toApiError(error: unknown): ApiError & { readonly isExpected: boolean } {
  const { message } = error as Error
  const answer = (code: number, isExpected: boolean) => ({ code, message: wireErrorMessage(code, message), isExpected })
  if (error instanceof TopicAdminError) return answer(error.code, true)
  if (error instanceof UnknownTopicConfigError) return answer(ErrorCode.INVALID_CONFIG, true)
  // 1.1 has no code for a wrong value.
  return answer(ErrorCode.UNKNOWN_SERVER_ERROR, error instanceof ConfigException)
}
