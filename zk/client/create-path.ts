import type { Acl, ZkRequestOptions, ZkResponse, ZkSession } from './types.ts'

/**
 * Creates a persistent node and its missing parents as Kafka 1.1 does: the whole path is tried first; refused for want of a parent, the
 * parents are made the same way (with null data) and it is tried again. `nodeExists` is an answer like any other.
 */
export async function createPath(
  session: Pick<ZkSession, 'request'>,
  path: string,
  data: Buffer | null,
  acl?: (path: string) => readonly Acl[],
  options?: ZkRequestOptions,
): Promise<ZkResponse> {
  const extra = acl === undefined ? {} : { acl: acl(path) }
  const create = () => session.request({ op: 'create', path, data, mode: 'persistent', ...extra }, options)
  const first = await create()
  const slash = path.lastIndexOf('/')
  if (first.code !== 'noNode' || slash <= 0) return first
  const parent = await createPath(session, path.slice(0, slash), null, acl, options)
  return parent.code === 'ok' || parent.code === 'nodeExists' ? create() : parent
}
