import assert from 'node:assert/strict'
import { OPEN, Packet, RawClient, type RawReply, type RawStat } from './raw-client.ts'

// The requests of the contract's tests, one line each.

export async function create(client: RawClient, path: string, data = '', flags = 0): Promise<RawReply> {
  return answered(await client.call(1, new Packet().string(path).bytes(Buffer.from(data)).acl(OPEN).int(flags)))
}

export async function remove(client: RawClient, path: string, version = -1): Promise<RawReply> {
  return answered(await client.call(2, new Packet().string(path).int(version)))
}

export async function exists(client: RawClient, path: string, watch = false): Promise<RawReply> {
  return answered(await client.call(3, new Packet().string(path).bool(watch)))
}

export async function getData(client: RawClient, path: string, watch = false): Promise<RawReply> {
  return answered(await client.call(4, new Packet().string(path).bool(watch)))
}

export async function setData(client: RawClient, path: string, data: string | null, version = -1): Promise<RawReply> {
  const bytes = data === null ? null : Buffer.from(data)
  return answered(await client.call(5, new Packet().string(path).bytes(bytes).int(version)))
}

export async function children(client: RawClient, path: string, watch = false): Promise<{ names: string[]; stat: RawStat }> {
  const reply = answered(await client.call(12, new Packet().string(path).bool(watch)))
  assert.equal(reply.err, 0)
  return { names: reply.body.strings().sort(), stat: reply.body.stat() }
}

export async function statOf(client: RawClient, path: string): Promise<RawStat> {
  const reply = await exists(client, path)
  assert.equal(reply.err, 0, `no ${path}`)
  return reply.body.stat()
}

export function answered(reply: RawReply | null): RawReply {
  assert.ok(reply !== null, 'the server closed the connection')
  return reply
}

/** Runs `body` with a session of its own, below a fresh node. */
export async function withClient(port: number, root: string, body: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await RawClient.connect(port)
  try {
    assert.equal((await create(client, root)).err, 0)
    await body(client)
  } finally {
    await client.close()
  }
}

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
