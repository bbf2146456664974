/** Where the recorded behaviour of a genuine Apache Kafka 1.1.1 lies, from the built tests as from the sources. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const folders = [join(here, '..', 'golden'), join(here, '..', '..', '..', 'integration-tests', 'golden')]

export function golden(path: string): string {
  const found = folders.map((folder) => join(folder, path)).find((file) => existsSync(file))
  if (found === undefined) throw new Error(`no golden data at integration-tests/golden/${path}`)
  return found
}
