import type { Acl, ZkRequest, ZkRequestOptions, ZkResponse, ZkSession } from './types.ts'

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

/**
 * The same requests and answers as `createPath` of each path has in a tree where nothing is there yet, but all of them leave at once: one
 * wait instead of two for each missing parent. In another tree more is refused than by `createPath`. No path is a parent of one before it.
 * Resolves with the answer of each.
 */
export async function createNewPaths(
  session: Pick<ZkSession, 'request' | 'requests'>,
  paths: readonly string[],
  data: Buffer | null,
  acl: (path: string) => readonly Acl[],
): Promise<ZkResponse[]> {
  const order = creationOrder(paths)
  const leaves = new Set(paths)
  const create = (path: string): ZkRequest => ({
    op: 'create',
    path,
    data: leaves.has(path) ? data : null,
    mode: 'persistent',
    acl: acl(path),
  })
  const answers = await session.requests(order.map(create))
  const decided = new Map<string, ZkResponse>()
  // The first that was not refused for want of a parent: had the parent been there, the second says that the node exists.
  order.forEach((path, i) => {
    if (decided.get(path)?.code !== 'ok') decided.set(path, answers[i]!)
  })
  return Promise.all(
    paths.map((path) => {
      const answer = decided.get(path)!
      // Somebody has taken a parent away meanwhile.
      return answer.code === 'noNode' ? createPath(session, path, data, acl) : answer
    }),
  )
}

/** What is asked for, refusals included, when nothing is there. */
function creationOrder(paths: readonly string[]): string[] {
  const made = new Set<string>([''])
  const order: string[] = []
  const make = (path: string): void => {
    const parent = path.slice(0, path.lastIndexOf('/'))
    order.push(path)
    if (!made.has(parent)) {
      make(parent)
      order.push(path)
    }
    made.add(path)
  }
  for (const path of paths) make(path)
  return order
}
