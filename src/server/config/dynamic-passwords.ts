import { createCipheriv, createDecipheriv, pbkdf2Sync } from 'node:crypto'
import { ConfigException } from '../../base/config-def.ts'
import type { BrokerConfig } from './broker-config.ts'

/** Java's names of key derivations that `password.encoder.keyfactory.algorithm` may give, to the digest behind them. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['PBKDF2WithHmacSHA1', 'sha1'],
  ['PBKDF2WithHmacSHA224', 'sha224'],
  ['PBKDF2WithHmacSHA256', 'sha256'],
  ['PBKDF2WithHmacSHA384', 'sha384'],
  ['PBKDF2WithHmacSHA512', 'sha512'],
])
const DEFAULT_KEY_FACTORY = 'PBKDF2WithHmacSHA512'
const CIPHER = 'AES/CBC/PKCS5Padding'
const SALT_BYTES = 256
const IV_BYTES = 16

function derivedKey(secret: string, salt: Buffer, iterations: number, keyLength: number, keyFactory: string): Buffer {
  const digest = DIGESTS.get(keyFactory)
  if (digest === undefined) throw new ConfigException(`Password encoder: key factory ${keyFactory} is not supported`)
  return pbkdf2Sync(secret, salt, iterations, keyLength / 8, digest)
}

/**
 * Passwords as they stand in ZooKeeper (KIP-226): encrypted with a key derived from `password.encoder.secret`, with everything that reading
 * them again needs beside. Throws `ConfigException` when there is no secret.
 */
export function encodePassword(password: string, config: BrokerConfig, random: (length: number) => Buffer): string {
  const { values } = config
  const secret = values.stringOrNull('password.encoder.secret')
  if (secret === null) throw new ConfigException('Password encoder secret not configured')
  const cipherAlgorithm = values.string('password.encoder.cipher.algorithm')
  if (cipherAlgorithm !== CIPHER) throw new ConfigException(`Password encoder: cipher ${cipherAlgorithm} is not supported`)
  const keyFactoryAlgorithm = values.stringOrNull('password.encoder.keyfactory.algorithm') ?? DEFAULT_KEY_FACTORY
  const keyLength = values.number('password.encoder.key.length')
  const iterations = values.number('password.encoder.iterations')
  const salt = random(SALT_BYTES)
  const initializationVector = random(IV_BYTES)
  const key = derivedKey(secret, salt, iterations, keyLength, keyFactoryAlgorithm)
  const cipher = createCipheriv(`aes-${keyLength}-cbc`, key, initializationVector)
  const encryptedPassword = Buffer.concat([cipher.update(password, 'utf8'), cipher.final()])
  return Object.entries({
    keyFactoryAlgorithm,
    cipherAlgorithm,
    keyLength,
    salt: salt.toString('base64'),
    iterations,
    encryptedPassword: encryptedPassword.toString('base64'),
    passwordLength: password.length,
    initializationVector: initializationVector.toString('base64'),
  })
    .map(([name, value]) => `${name}:${value}`)
    .join(',')
}

/** The reverse; `password.encoder.old.secret` is tried too. Throws `ConfigException`. */
export function decodePassword(encoded: string, config: BrokerConfig): string {
  const parts = new Map(encoded.split(',').map((item) => [item.slice(0, item.indexOf(':')), item.slice(item.indexOf(':') + 1)]))
  const part = (name: string): string => {
    const value = parts.get(name)
    if (value === undefined) throw new ConfigException(`Password in ZooKeeper has no ${name}`)
    return value
  }
  const bytes = (name: string): Buffer => Buffer.from(part(name), 'base64')
  const secrets = ['password.encoder.secret', 'password.encoder.old.secret'].flatMap(
    (name) => config.values.stringOrNull(name) ?? [],
  )
  if (secrets.length === 0) throw new ConfigException('Password encoder secret not configured')
  const keyLength = Number(part('keyLength'))
  for (const secret of secrets) {
    try {
      const key = derivedKey(secret, bytes('salt'), Number(part('iterations')), keyLength, part('keyFactoryAlgorithm'))
      const decipher = createDecipheriv(`aes-${keyLength}-cbc`, key, bytes('initializationVector'))
      const password = Buffer.concat([decipher.update(bytes('encryptedPassword')), decipher.final()]).toString('utf8')
      if (password.length === Number(part('passwordLength'))) return password
    } catch (error) {
      if (error instanceof ConfigException) throw error
      // A wrong secret shows as broken padding: the next one may be right.
    }
  }
  throw new ConfigException('Password could not be decoded with password.encoder.secret')
}
