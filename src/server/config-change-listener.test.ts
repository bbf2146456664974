import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ChildChangeHandler, SessionHandler } from '../../zk/client/types.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { memoryLogger } from '../base/logger.ts'
import { settle, VirtualClock } from '../ports/memory/virtual-clock.ts'
import { ConfigChangeListener } from './config-change-listener.ts'

class Changes {
  readonly nodes = new Map<string, { data: Buffer; ctime: number }>()
  handler: ChildChangeHandler | undefined
  session: SessionHandler | undefined
  failures = 0
  next = 0

  add(entityPath: string, ctime: number, raw?: string): void {
    const name = `config_change_${String(this.next++).padStart(10, '0')}`
    this.nodes.set(name, { data: Buffer.from(raw ?? JSON.stringify({ version: 2, entity_path: entityPath })), ctime })
    this.handler?.onChildChange()
  }

  zk(): KafkaZk {
    return {
      watchChildren: (handler: ChildChangeHandler) => {
        this.handler = handler
      },
      unwatchChildren: () => {},
      onSession: (session: SessionHandler) => {
        this.session = session
      },
      getConfigChangeNotifications: async () => {
        if (this.failures-- > 0) throw new Error('session expired')
        return [...this.nodes.keys()]
      },
      readConfigChangeNotification: async (name: string) => {
        const node = this.nodes.get(name)
        return node && { name, ...node }
      },
      deleteConfigChangeNotification: async (name: string) => {
        this.nodes.delete(name)
      },
    } as unknown as KafkaZk
  }
}

function fixture() {
  const changes = new Changes()
  const clock = new VirtualClock()
  const { logger, lines } = memoryLogger('warn')
  const applied: string[] = []
  const listener = new ConfigChangeListener({
    zk: changes.zk(),
    clock,
    log: logger,
    apply: async ({ type, entity }) => {
      applied.push(`${type}/${entity}`)
    },
  })
  return { changes, clock, lines, applied, listener }
}

test('what is there is applied at start, later changes once each, in order', async () => {
  const { changes, clock, applied, listener } = fixture()
  changes.add('topics/a', clock.wall())
  await listener.start()
  assert.deepEqual(applied, ['topics/a'])
  changes.add('topics/b', clock.wall())
  changes.add('users/bob/clients/<default>', clock.wall())
  await settle()
  assert.deepEqual(applied, ['topics/a', 'topics/b', 'users/bob/clients/<default>'])
  changes.session!.afterInitializingSession!()
  await settle()
  assert.equal(applied.length, 3)
})

test('old notifications are deleted after they were applied', async () => {
  const { changes, clock, applied, listener } = fixture()
  changes.add('topics/old', clock.wall() - 16 * 60_000)
  changes.add('topics/new', clock.wall())
  await listener.start()
  assert.deepEqual(applied, ['topics/old', 'topics/new'])
  assert.deepEqual([...changes.nodes.keys()], ['config_change_0000000001'])
})

test('garbage is passed over with a warning', async () => {
  const { changes, clock, applied, lines, listener } = fixture()
  changes.add('', clock.wall(), '{"version":9}')
  changes.add('topics/a', clock.wall())
  await listener.start()
  assert.deepEqual([applied, lines.length], [['topics/a'], 1])
})

test('a failed pass is tried again; after stop nothing happens', async () => {
  const { changes, clock, applied, listener } = fixture()
  changes.failures = 1
  changes.add('topics/a', clock.wall())
  await listener.start()
  assert.deepEqual(applied, [])
  await clock.advance(1100)
  assert.deepEqual(applied, ['topics/a'])
  await listener.stop()
  changes.add('topics/b', clock.wall())
  await settle()
  assert.deepEqual(applied, ['topics/a'])
})
