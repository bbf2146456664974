/** Kafka's deserializers, and what Java prints of their results. */
import { javaDouble } from '../../server/config/dynamic-texts.ts'
import { ToolError } from '../tool.ts'

/** Throws `ToolError` for bytes that it cannot read. */
export type ToText = (bytes: Buffer) => string

function fixed(size: number, name: string, text: ToText): ToText {
  return (bytes) => {
    if (bytes.length !== size) {
      throw new ToolError(
        'org.apache.kafka.common.errors.SerializationException',
        `Size of data received by ${name} is not ${size}`,
      )
    }
    return text(bytes)
  }
}

/** The shortest decimal that is this float, printed as Java does. */
function floatText(value: number): string {
  for (let digits = 1; digits <= 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return javaDouble(candidate)
  }
  return javaDouble(value)
}

const BACKSLASH = 0x5c

/** Printable ASCII as it is, other bytes and the backslash as `\xHH`. */
function bytesText(bytes: Buffer): string {
  let text = ''
  for (const byte of bytes) {
    text +=
      byte >= 0x20 && byte <= 0x7e && byte !== BACKSLASH
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

const deserializers: Readonly<Record<string, ToText>> = {
  StringDeserializer: (bytes) => bytes.toString('utf8'),
  LongDeserializer: fixed(8, 'LongDeserializer', (bytes) => bytes.readBigInt64BE(0).toString()),
  IntegerDeserializer: fixed(4, 'IntegerDeserializer', (bytes) => String(bytes.readInt32BE(0))),
  ShortDeserializer: fixed(2, 'ShortDeserializer', (bytes) => String(bytes.readInt16BE(0))),
  FloatDeserializer: fixed(4, 'Deserializer', (bytes) => floatText(bytes.readFloatBE(0))),
  DoubleDeserializer: fixed(8, 'Deserializer', (bytes) => javaDouble(bytes.readDoubleBE(0))),
  // Java prints the identity of the array; the bytes say more.
  ByteArrayDeserializer: (bytes) => `[B@${bytes.toString('hex')}`,
  ByteBufferDeserializer: ({ length }) => `java.nio.HeapByteBuffer[pos=0 lim=${length} cap=${length}]`,
  BytesDeserializer: bytesText,
}

const PACKAGE = 'org.apache.kafka.common.serialization.'

/** Throws `ToolError` for a class that is not there. */
export function toText(javaClass: string): ToText {
  const name = javaClass.startsWith(PACKAGE) ? javaClass.slice(PACKAGE.length) : ''
  const text = Object.hasOwn(deserializers, name) ? deserializers[name] : undefined
  if (text === undefined) throw new ToolError('java.lang.ClassNotFoundException', javaClass)
  return text
}
