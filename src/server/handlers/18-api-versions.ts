import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry, ResponseInput } from '../request-types.ts'

/** ApiVersions answers what the registry serves, sorted by key. */
export function apiVersionsHandler(
  served: () => readonly { readonly key: number; readonly minVersion: number; readonly maxVersion: number }[],
): HandlerEntry<'ApiVersions'> {
  const body = (errorCode: number, list: ReturnType<typeof served>): ResponseInput<'ApiVersions'> => ({
    errorCode,
    apiVersions: list.map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion })),
  })
  return {
    handle: () => body(ErrorCode.NONE, served()),
    fail: (_request, error) => body(error, []),
  }
}
