import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { compileDecoder, compileEncoder, type Decoder, type Encoder } from './compile.ts'
import type { DecodedStruct, EncodableStruct, Fields } from './schema.ts'

/** Codec of a structure inside a message, a record or a file: keys and values of internal topics, group metadata. */
export class StructCodec<F extends Fields> {
  readonly fields: F
  private decoder: Decoder | undefined
  private encoder: Encoder | undefined

  constructor(fields: F) {
    this.fields = fields
  }

  /** Bytes behind it are left to the reader. Throws `DecodeError`. */
  read(reader: ByteReader): DecodedStruct<F> {
    this.decoder ??= compileDecoder(this.fields, 0)
    return this.decoder(reader) as DecodedStruct<F>
  }

  /** Throws `EncodeError`. */
  write(writer: ByteWriter, value: EncodableStruct<F>): void {
    this.encoder ??= compileEncoder(this.fields, 0)
    this.encoder(writer, value)
  }

  /** The structure at `position` of a buffer. Throws `DecodeError`. */
  decode(buffer: Buffer, position = 0): DecodedStruct<F> {
    return this.read(new ByteReader(buffer, position))
  }

  /** A new buffer; `version`, when given, stands in front as an int16. */
  encode(value: EncodableStruct<F>, version?: number): Buffer {
    const writer = new ByteWriter(256)
    if (version !== undefined) writer.int16(version)
    this.write(writer, value)
    const bytes = writer.copy()
    writer.close()
    return bytes
  }
}

export function defineStruct<const F extends Fields>(fields: F): StructCodec<F> {
  return new StructCodec(fields)
}
