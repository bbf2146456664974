/** SCRAM credentials as they stand in the configuration of a user: only salted hashes, never the password. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { ToolError } from '../tool.ts'

/** Mechanism -> hash; both want at least 4096 iterations. */
const MECHANISMS = { 'SCRAM-SHA-256': 'sha256', 'SCRAM-SHA-512': 'sha512' } as const
const LEAST_ITERATIONS = 4096
const SALT_BITS = 130

/** A number of 130 random bits in base 36, as text: the alphabet of 1.1's salts. */
function randomSalt(): Buffer {
  const number = BigInt(`0x${randomBytes(17).toString('hex')}`) >> BigInt(17 * 8 - SALT_BITS)
  return Buffer.from(number.toString(36), 'latin1')
}

/** RFC 5802: `salt=...,stored_key=...,server_key=...,iterations=...`, keys in base64. */
export function scramCredential(hash: 'sha256' | 'sha512', password: string, salt: Buffer, iterations: number): string {
  const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest()
  const salted = pbkdf2Sync(password, salt, iterations, hash === 'sha256' ? 32 : 64, hash)
  const storedKey = createHash(hash).update(hmac(salted, 'Client Key')).digest()
  const serverKey = hmac(salted, 'Server Key')
  const [saltText, stored, server] = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'))
  return `salt=${saltText},stored_key=${stored},server_key=${server},iterations=${iterations}`
}

/** Replaces `SCRAM-SHA-256=[iterations=8192,password=secret]` by the credential. Throws `ToolError`. */
export function withScramCredentials(config: Readonly<Record<string, string>>): Record<string, string> {
  const done = { ...config }
  for (const [mechanism, hash] of Object.entries(MECHANISMS)) {
    const text = config[mechanism]
    if (text === undefined) continue
    const shown = mechanism.replaceAll('-', '_')
    const match = /^(?:iterations=([0-9]*),)?password=(.*)$/.exec(text)
    if (match === null) {
      throw new ToolError('java.lang.IllegalArgumentException', `Invalid credential property ${shown}=${text}`)
    }
    const iterations = match[1] === undefined ? LEAST_ITERATIONS : Number(match[1])
    if (match[1] === '' || iterations > 2 ** 31 - 1) {
      throw new ToolError('java.lang.NumberFormatException', `For input string: "${match[1]}"`)
    }
    if (iterations < LEAST_ITERATIONS) {
      throw new ToolError(
        'java.lang.IllegalArgumentException',
        `Iterations ${iterations} is less than the minimum ${LEAST_ITERATIONS} required for ${shown}`,
      )
    }
    done[mechanism] = scramCredential(hash, match[2] ?? '', randomSalt(), iterations)
  }
  return done
}
