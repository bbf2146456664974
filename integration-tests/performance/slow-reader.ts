/** A consumer that does not read what it asked for. */
import { connect, type Socket } from 'node:net'
import { frameOf } from './bench-connection.ts'

/** Asks for so much of each of the first partitions of `kept`, from its start, and takes nothing. */
export function openSlowReader(port: number, partitionCount: number, bytesOfEach: number): Socket {
  const partitions = Array.from({ length: partitionCount }, (_, partition) => ({
    partition,
    fetchOffset: 0,
    logStartOffset: -1,
    maxBytes: bytesOfEach,
  }))
  const request = {
    replicaId: -1,
    maxWaitTime: 100,
    minBytes: 1,
    maxBytes: partitionCount * bytesOfEach,
    isolationLevel: 0,
    sessionId: 0,
    epoch: -1,
    topics: [{ topic: 'kept', partitions }],
    forgettenTopicsData: [],
  }
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(frameOf('Fetch', 7, request))
  return socket.pause()
}
