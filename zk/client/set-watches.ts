import { setWatchesRequest } from './codec.ts'
import type { JuteRequest } from './package.ts'
import type { WatchPaths } from './watches.ts'

/** Bytes of paths in one packet, as in the Java client. A packet above the server's limit would end the connection, for ever (D7). */
const PACKET_BYTES = 128 * 1024

/** Arms all of `paths` again, from `zxid` on: what has changed since comes as an event. */
export function setWatchesRequests(zxid: Buffer, paths: WatchPaths, chroot: string | undefined): JuteRequest[] {
  const requests: JuteRequest[] = []
  let packet = { data: [] as string[], exist: [] as string[], child: [] as string[] }
  let bytes = 0
  const finish = () => {
    if (bytes === 0) return
    const request = setWatchesRequest(zxid, packet)
    request.payload?.setChrootPath(chroot)
    requests.push(request)
    packet = { data: [], exist: [], child: [] }
    bytes = 0
  }
  for (const kind of ['data', 'exist', 'child'] as const) {
    for (const path of paths[kind]) {
      packet[kind].push(path)
      bytes += 4 + Buffer.byteLength(path) + (chroot?.length ?? 0)
      if (bytes >= PACKET_BYTES) finish()
    }
  }
  finish()
  return requests
}
