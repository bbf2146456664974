import { type OldConsumerOptions, type OldProducerOptions, oldConsumerKeys, oldProducerKeys } from '../../client/index.ts'
import { warning } from '../tool-clients.ts'

/** What of `properties` is a key of the old consumer. A key that is not gives 1.1's warning. */
export function oldConsumerOptions(properties: Readonly<Record<string, string>>): OldConsumerOptions {
  return known(oldConsumerKeys, properties) as OldConsumerOptions
}

/** The same for the old producer. */
export function oldProducerOptions(properties: Readonly<Record<string, string>>): OldProducerOptions {
  return known(oldProducerKeys, properties) as OldProducerOptions
}

function known(keys: object, properties: Readonly<Record<string, string>>): Record<string, string> {
  const isKnown = ([key]: readonly [string, string]): boolean => Object.hasOwn(keys, key)
  for (const [key] of Object.entries(properties).filter((entry) => !isKnown(entry))) {
    process.stderr.write(warning(`Property ${key} is not valid`, 'kafka.utils.VerifiableProperties'))
  }
  return Object.fromEntries(Object.entries(properties).filter(isKnown))
}
