/** Is the broker of this container well? An ApiVersions question must be answered: an open port proves only that the kernel listens. */
import { askBroker } from '../ask.ts'

const TIMEOUT_MS = 4_000

/** Resolves with the exit code of the health check: 1 unless the answer comes within `timeoutMs`. */
export async function checkHealth(host: string, port: number, timeoutMs = TIMEOUT_MS): Promise<number> {
  try {
    const { errorCode, apiVersions } = await askBroker({ host, port }, 'ApiVersions', 0, {}, timeoutMs)
    if (errorCode !== 0) throw new Error(`ApiVersions is answered with error ${errorCode}`)
    process.stdout.write(`${host}:${port} answers ${apiVersions.length} APIs\n`)
    return 0
  } catch (error) {
    process.stdout.write(`${host}:${port}: ${(error as Error).message}\n`)
    return 1
  }
}
