import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChildChangeHandler, NodeChangeHandler, ZkSession } from '../../../zk/client/types.ts'
import { SharedSession } from './shared-session.ts'

/** A session that knows one handler per path, as the real one. */
function fakeSession() {
  const nodes = new Map<string, NodeChangeHandler>()
  const children = new Map<string, ChildChangeHandler>()
  let closed = 0
  const session = {
    generation: 3,
    watchNode: (handler: NodeChangeHandler) => void nodes.set(handler.path, handler),
    unwatchNode: (path: string) => void nodes.delete(path),
    watchChildren: (handler: ChildChangeHandler) => void children.set(handler.path, handler),
    unwatchChildren: (path: string) => void children.delete(path),
    close: async () => void closed++,
  } as unknown as ZkSession
  return { session, nodes, children, closed: () => closed }
}

test('an event goes to all who watch its path, and to nobody else', () => {
  const { session, nodes, children } = fakeSession()
  const shared = new SharedSession(session)
  const [one, two] = [shared.view(), shared.view()]
  const heard: string[] = []
  one.watchNode({ path: '/a', onChange: (event) => heard.push(`one ${event}`) })
  two.watchNode({ path: '/a', onChange: (event) => heard.push(`two ${event}`) })
  one.watchChildren({ path: '/b', onChildChange: () => heard.push('one children') })
  two.watchChildren({ path: '/b', onChildChange: () => heard.push('two children') })
  nodes.get('/a')?.onChange('dataChanged')
  children.get('/b')?.onChildChange()
  assert.deepEqual(heard.splice(0), ['one dataChanged', 'two dataChanged', 'one children', 'two children'])
  one.unwatchNode('/a')
  one.unwatchChildren('/b')
  nodes.get('/a')?.onChange('deleted')
  children.get('/b')?.onChildChange()
  assert.deepEqual(heard.splice(0), ['two deleted', 'two children'])
  two.unwatchNode('/a')
  two.unwatchChildren('/b')
  assert.deepEqual([nodes.size, children.size], [0, 0])
})

test('a handler given again replaces the former one of the same user', () => {
  const { session, nodes } = fakeSession()
  const view = new SharedSession(session).view()
  const heard: string[] = []
  view.watchNode({ path: '/a', onChange: () => heard.push('first') })
  view.watchNode({ path: '/a', onChange: () => heard.push('second') })
  nodes.get('/a')?.onChange('created')
  assert.deepEqual(heard, ['second'])
})

test('a view shows the session, and leaves its life alone', async () => {
  const { session, closed } = fakeSession()
  const view = new SharedSession(session).view()
  assert.equal(view.generation, 3)
  await view.start()
  await view.close()
  assert.equal(closed(), 0)
})
