/** Readers that ask for much and take nothing: what the broker holds for them is bounded, and others are served as ever. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts'
import { apis } from '../../src/protocol/apis/index.ts'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import { TestCluster } from '../harness/cluster.ts'
import { peakResidentBytes } from '../harness/process-figures.ts'
import { ask } from '../harness/wire.ts'

const MIB = 1024 * 1024
const TOPIC = 'much'
const BATCHES = 48
const READERS = 30
const FETCH_VERSION = 5

const isLinux = existsSync('/proc/self/status')

function fetchFrame(): Buffer {
  const writer = new ByteWriter()
  writer.int32(0)
  writer.int16(apis.Fetch.key)
  writer.int16(FETCH_VERSION)
  writer.int32(7)
  writer.nullableString('slow')
  const partitions = [{ partition: 0, fetchOffset: 0, logStartOffset: -1, maxBytes: 100 * MIB }]
  const limits = { replicaId: -1, maxWaitTime: 500, minBytes: 1, maxBytes: 100 * MIB, isolationLevel: 0 }
  apis.Fetch.encodeRequest(writer, FETCH_VERSION, { ...limits, topics: [{ topic: TOPIC, partitions }] } as never)
  writer.patchInt32(0, writer.position - 4)
  return writer.copy()
}

describe('slow readers', { skip: isLinux ? false : 'the peak of a process’s memory is read from /proc' }, () => {
  let cluster: TestCluster
  const sockets: Socket[] = []
  before(async () => {
    cluster = await TestCluster.start({ brokers: 1 })
    await cluster.createTopic(TOPIC, 1, 1)
    const value = Buffer.alloc(900_000, 'v')
    for (let i = 0; i < BATCHES; i++) {
      const recordSet = new BatchBuilder({}).append(1_700_000_000_000 + i, null, value).build()
      const request = {
        transactionalId: null,
        acks: 1,
        timeout: 10_000,
        topicData: [{ topic: TOPIC, data: [{ partition: 0, recordSet }] }],
      }
      const answer = await ask(cluster.broker(0).address, 'Produce', 3, request)
      assert.equal(answer.responses[0]?.partitionResponses[0]?.errorCode, 0)
    }
  })
  after(async () => {
    for (const socket of sockets) socket.destroy()
    await cluster.close()
  })

  it('thirty answers of 40 MB that nobody takes cost a piece each; then one is read, and it is whole', async () => {
    const broker = cluster.broker(0)
    const pid = broker.child!.pid!
    const before = peakResidentBytes(pid)
    for (let i = 0; i < READERS; i++) {
      const socket = connect(broker.options.port, '127.0.0.1')
      sockets.push(socket)
      socket.write(fetchFrame())
      // The first bytes are there, so the broker has begun to answer; no more than those are taken.
      await new Promise((resolve) => void socket.once('readable', resolve))
    }
    const others = await ask(broker.address, 'Metadata', 1, { topics: [TOPIC] })
    assert.equal(others.topicMetadata[0]?.errorCode, 0, 'others are served')
    const grown = peakResidentBytes(pid) - before
    assert.ok(grown < 300 * MIB, `${Math.round(grown / MIB)} MiB more than before`)

    const chunks: Buffer[] = []
    let have = 0
    let wanted = Number.POSITIVE_INFINITY
    const slow = sockets[READERS - 1]!
    await new Promise<void>((resolve) => {
      slow.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        have += chunk.length
        if (wanted === Number.POSITIVE_INFINITY && have >= 4) wanted = Buffer.concat(chunks).readInt32BE(0) + 4
        if (have >= wanted) resolve()
      })
    })
    assert.equal(have, wanted)
    const answer = apis.Fetch.decodeResponse(new ByteReader(Buffer.concat(chunks).subarray(8)), FETCH_VERSION)
    const partition = answer.responses[0]?.partitionResponses[0]
    assert.equal(partition?.partitionHeader.errorCode, 0)
    const records = partition.recordSet
    let batches = 0
    for (let at = 0; at < records.length; at += records.readInt32BE(at + 8) + 12) {
      assert.equal(Number(records.readBigInt64BE(at)), batches)
      batches++
    }
    assert.equal(batches, BATCHES)
  })
})
