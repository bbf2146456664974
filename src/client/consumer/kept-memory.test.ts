import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const module = import.meta.url.replace('.test.', '.')

/** Fresh blocks that are written to, each a little larger than those before it, which are garbage by then. Prints the page faults. */
const program = `
  const [url, keeps] = process.argv.slice(1)
  if (keeps === 'true') (await import(url)).keepFreedMemory(1024 * 1024)
  gc()
  let faults = 0
  for (let i = 0; i < 150; i++) {
    if (i === 50) faults = process.resourceUsage().minorPageFault
    Buffer.allocUnsafeSlow(1024 * (1024 + 4 * i)).fill(1)
    gc()
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  console.log(process.resourceUsage().minorPageFault - faults)`

async function faults(keeps: boolean): Promise<number> {
  const args = [
    ...process.execArgv.filter((flag) => !flag.startsWith('--test')),
    '--expose-gc',
    '--input-type=module',
    '-e',
    program,
  ]
  const { stdout } = await promisify(execFile)(process.execPath, [...args, '--', module, `${keeps}`])
  return Number(stdout)
}

const { glibcVersionRuntime } = (process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }).header

test('freed record sets stay with the process: their pages are not faulted in again', {
  skip: glibcVersionRuntime === undefined && 'no glibc',
}, async () => {
  const given = await faults(false)
  const kept = await faults(true)
  // 100 blocks of 300 to 400 pages (fewer faults where pages are huge).
  assert.ok(given > 1000, `${given} faults without keeping: the test sees nothing`)
  assert.ok(kept < given / 5, `${given} faults, ${kept} with memory kept`)
})
