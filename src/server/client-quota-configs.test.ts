import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientQuotaConfigs } from './client-quota-configs.ts'

test('users, clients and clients of users are read at the start, changed and forgotten', async () => {
  const tree = new Map<string, Record<string, string>>([
    ['users/bob', { producer_byte_rate: '1024' }],
    ['users/bob/clients/c1', { consumer_byte_rate: '2048' }],
    ['users/<default>', {}],
    ['clients/<default>', { request_percentage: '200' }],
  ])
  const zk = {
    getAllConfigEntities: async (type: string, below = '') => {
      const prefix = below === '' ? `${type}/` : `${type}/${below}/`
      const names = [...tree.keys()].filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length))
      return [...new Set(names.map((name) => name.split('/')[0] ?? ''))]
    },
    getConfigs: async (type: string, names: readonly string[]) =>
      new Map(names.flatMap((name) => (tree.has(`${type}/${name}`) ? [[name, tree.get(`${type}/${name}`) ?? {}] as const] : []))),
  }
  const quotas = new ClientQuotaConfigs(zk)
  await quotas.readAll()
  assert.deepEqual([...quotas.all.keys()].sort(), ['clients/<default>', 'users/bob', 'users/bob/clients/c1'])
  assert.deepEqual(quotas.get('users/bob/clients/c1'), { consumer_byte_rate: '2048' })
  tree.set('users/bob', { producer_byte_rate: '1' })
  tree.delete('clients/<default>')
  await quotas.read('users', ['bob'])
  await quotas.read('clients', ['<default>'])
  assert.deepEqual([quotas.get('users/bob'), quotas.get('clients/<default>')], [{ producer_byte_rate: '1' }, {}])
})
