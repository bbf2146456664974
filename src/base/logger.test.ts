import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { createLogger, memoryLogger, silentLogger } from './logger.ts'

function captured(): { lines: string[]; sink: { write(line: string): void } } {
  const lines: string[] = []
  return { lines, sink: { write: (line) => void lines.push(line) } }
}

test('prints lines as the log4j pattern of Kafka does', () => {
  const { lines, sink } = captured()
  const wall = () => 1_795_268_715_123
  const logger = createLogger({ wall, sink, prefix: '[KafkaServer id=0]', category: 'kafka.server.KafkaServer' })
  logger.info('started')
  assert.deepEqual(lines, ['[2026-11-21 13:45:15,123] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)\n'])
})

test('the calendar agrees with the platform over centuries, and the offset moves it', () => {
  let now = 0
  const { lines, sink } = captured()
  const logger = createLogger({ wall: () => now, sink, timezoneOffsetMs: () => 7_200_000 })
  for (let step = 0; step < 4000; step++) {
    now = -2_000_000_000_000 + step * 3_123_456_789.5
    logger.warn('x')
    const local = new Date(Math.floor(now) + 7_200_000).toISOString().replace('T', ' ').replace('Z', '').replace('.', ',')
    assert.equal(lines.pop(), `[${local}] WARN x (samsa)\n`)
  }
})

test('drops lines below the level and says whether debug is on', () => {
  const { logger, lines } = memoryLogger('warn')
  logger.debug('a')
  logger.info('b')
  logger.warn('c')
  logger.error('d')
  assert.deepEqual(
    lines.map((line) => line.slice(26)),
    ['WARN c (samsa)', 'ERROR d (samsa)'],
  )
  assert.equal(logger.isDebugEnabled, false)
  assert.equal(memoryLogger('debug').logger.isDebugEnabled, true)
  assert.equal(silentLogger().isDebugEnabled, false)
})

test('a child has its own prefix and category and shares the level', () => {
  const { logger, lines } = memoryLogger('info')
  const child = logger.child('[Log partition=t-0, dir=/d] ', 'kafka.log.Log')
  child.info('hello')
  child.debug('hidden')
  child.child('[x]').info('inherits the category')
  assert.deepEqual(
    lines.map((line) => line.slice(26)),
    ['INFO [Log partition=t-0, dir=/d] hello (kafka.log.Log)', 'INFO [x] inherits the category (kafka.log.Log)'],
  )
})

test('an error follows its line with stack and causes', () => {
  const { logger, lines } = memoryLogger()
  logger.error('failed', new Error('outer', { cause: new TypeError('inner') }))
  const text = lines.join('\n')
  assert.match(text, /ERROR failed \(samsa\)\nError: outer\n {4}at /)
  assert.match(text, /\nCaused by: TypeError: inner\n {4}at /)
})

test('a line printed just before the process is killed is not lost', () => {
  const program = `
    import { createLogger } from ${JSON.stringify(new URL(import.meta.url.replace(/logger\.test\.(ts|js)$/, 'logger.$1')).href)}
    createLogger({ wall: () => 0 }).error('last words')
    process.kill(process.pid, 'SIGKILL')`
  let output = ''
  try {
    output = execFileSync(
      process.execPath,
      [...process.execArgv.filter((a) => !a.startsWith('--test')), '--input-type=module', '-e', program],
      {
        encoding: 'utf8',
        env: { ...process.env, NODE_TEST_CONTEXT: '' },
      },
    )
  } catch (error) {
    output = (error as { stdout: string }).stdout
  }
  assert.equal(output, '[1970-01-01 00:00:00,000] ERROR last words (samsa)\n')
})
