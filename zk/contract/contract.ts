import { after, before, describe } from 'node:test'
import { aclTests, lastingWatchTests, multiTests, nodeTests, refusalTests, watchTests } from './contract-nodes.ts'
import { garbageTests, restartTests, resumeTests, sessionTests, wordTests } from './contract-sessions.ts'

/** A server under test. Its tick must be 200 ms, its sessions from 400 ms to 60 s, and all four-letter words allowed. */
export interface ServerUnderTest {
  readonly port: number
  /** How often a four-letter word is sent until it counts as not answered; a genuine server leaves one unanswered now and then. */
  readonly wordAttempts: number
  /** Ends it without warning (kill -9) and starts it again on the same data and port. */
  crashAndRestart(): Promise<void>
  close(): Promise<void>
}

/** Registers the tests of what a broker, its tools and their client library rely on, for any server that claims to be a ZooKeeper. */
export function zooKeeperContract(name: string, start: () => Promise<ServerUnderTest>): void {
  describe(`ZooKeeper contract: ${name}`, () => {
    let server: ServerUnderTest
    before(async () => {
      server = await start()
    })
    after(() => server.close())
    const port = () => server.port

    nodeTests(port)
    refusalTests(port)
    watchTests(port)
    lastingWatchTests(port)
    multiTests(port)
    sessionTests(port)
    resumeTests(port)
    aclTests(port)
    wordTests(port, () => server.wordAttempts)
    garbageTests(port)
    restartTests(() => server)
  })
}
