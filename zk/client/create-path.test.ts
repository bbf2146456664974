import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createNewPaths, createPath } from './create-path.ts'
import { openZkSession } from './index.ts'
import { startTestZooKeeper, type TestZooKeeper, testClock, testLog } from './testing-zookeeper.ts'
import { OPEN_ACL, type ZkRequest, type ZkSession } from './types.ts'

const acl = () => OPEN_ACL
const PATHS = ['/a', '/b/c', '/b/d', '/e/f/g', '/h']

describe('paths made together', () => {
  let zk: TestZooKeeper
  const open: ZkSession[] = []
  before(async () => {
    zk = await startTestZooKeeper()
  })
  after(async () => {
    for (const session of open) await session.close()
    await zk.stop()
  })

  async function session(chroot: string) {
    const options = {
      connect: `127.0.0.1:${zk.port}${chroot}`,
      sessionTimeoutMs: 4000,
      connectionTimeoutMs: 5000,
      createChroot: true,
    }
    const one = openZkSession(options, testClock, testLog())
    await one.start()
    open.push(one)
    const asked: string[] = []
    const note = (request: ZkRequest): void => void asked.push((request as { path: string }).path)
    return {
      asked,
      request: (request: ZkRequest) => {
        note(request)
        return one.request(request)
      },
      requests: (list: readonly ZkRequest[]) => {
        list.forEach(note)
        return one.requests(list)
      },
      data: async (path: string) => (await one.request({ op: 'getData', path })).data?.toString(),
    }
  }

  it('ask for the same, in the same order, as one after another', async () => {
    const [together, single] = [await session('/together'), await session('/single')]
    const codes = (await createNewPaths(together, PATHS, Buffer.from('x'), acl)).map(({ code }) => code)
    const expected: string[] = []
    for (const path of PATHS) expected.push((await createPath(single, path, Buffer.from('x'), acl)).code)
    assert.deepEqual(codes, expected)
    assert.deepEqual(together.asked, single.asked)
    assert.deepEqual(together.asked.slice(0, 5), ['/a', '/b/c', '/b', '/b/c', '/b/d'])
    assert.equal(await together.data('/e/f/g'), 'x')
  })

  it('what is there already stays as it is', async () => {
    const here = await session('/there')
    await createPath(here, '/b', Buffer.from('old'), acl)
    const codes = (await createNewPaths(here, ['/b/c', '/b'], Buffer.from('new'), acl)).map(({ code }) => code)
    assert.deepEqual(codes, ['ok', 'nodeExists'])
    assert.equal(await here.data('/b'), 'old')
    assert.equal(await here.data('/b/c'), 'new')
  })

  it('a parent that goes meanwhile is made again', async () => {
    const here = await session('/goes')
    const answers = await createNewPaths(
      {
        request: here.request,
        // Somebody removes /b while the answers are on their way.
        requests: async (list) => {
          const got = await here.requests(list.slice(0, 2))
          await here.request({ op: 'delete', path: '/b', version: -1 })
          return [...got, ...(await here.requests(list.slice(2)))]
        },
      },
      ['/b/c'],
      null,
      acl,
    )
    assert.deepEqual(
      answers.map(({ code }) => code),
      ['ok'],
    )
    assert.deepEqual(here.asked, ['/b/c', '/b', '/b', '/b/c', '/b/c', '/b', '/b/c'])
  })
})
