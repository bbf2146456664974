import { assert } from '../base/assert.ts'
import { type ByteReader, type ByteWriter, DecodeError } from '../base/bytes.ts'
import {
  compileDecoder,
  compileEncoder,
  compileStepDecoder,
  compileStepEncoder,
  type Decoder,
  type Encoder,
  type StepDecoder,
  type StepEncoder,
} from './compile.ts'
import type { DecodedStruct, EncodableStruct, Fields } from './schema.ts'

export interface ApiDefinition<N extends string, Q extends Fields, P extends Fields> {
  readonly key: number
  readonly name: N
  /** First and last version that Kafka 1.1 speaks. */
  readonly versions: readonly [first: number, last: number]
  /** Only between brokers; needs ClusterAction on the cluster. */
  readonly clusterAction?: boolean
  readonly request: Q
  readonly response: P
  /** Values that the schema admits but Kafka 1.1 refuses while parsing: the reason, or undefined. */
  readonly checkRequest?: (request: DecodedStruct<Q>, version: number) => string | undefined
}

/** One API: schema and codecs. Codecs are compiled at the first use of a version. Bodies only, without headers. */
export class Api<N extends string, Q extends Fields, P extends Fields> {
  readonly key: number
  readonly name: N
  readonly minVersion: number
  readonly maxVersion: number
  readonly clusterAction: boolean
  readonly request: Q
  readonly response: P
  private readonly checkRequest: ApiDefinition<N, Q, P>['checkRequest']
  private readonly requestDecoders: Decoder[] = []
  private readonly requestEncoders: Encoder[] = []
  private readonly responseDecoders: Decoder[] = []
  private readonly responseEncoders: Encoder[] = []
  private readonly requestStepDecoders: StepDecoder[] = []
  private readonly requestStepEncoders: StepEncoder[] = []
  private readonly responseStepEncoders: StepEncoder[] = []

  constructor(definition: ApiDefinition<N, Q, P>) {
    this.key = definition.key
    this.name = definition.name
    this.minVersion = definition.versions[0]
    this.maxVersion = definition.versions[1]
    this.clusterAction = definition.clusterAction ?? false
    this.request = definition.request
    this.response = definition.response
    this.checkRequest = definition.checkRequest
  }

  supports(version: number): boolean {
    return version >= this.minVersion && version <= this.maxVersion
  }

  /** Bytes behind the body are left to the reader. Throws `DecodeError` naming the field: the connection is to be closed. */
  decodeRequest(reader: ByteReader, version: number): DecodedStruct<Q> {
    const decode = this.requestDecoders[version] ?? this.addDecoder(this.requestDecoders, this.request, version)
    const request = decode(reader) as DecodedStruct<Q>
    const reason = this.checkRequest?.(request, version)
    if (reason !== undefined) throw new DecodeError(reason)
    return request
  }

  decodeResponse(reader: ByteReader, version: number): DecodedStruct<P> {
    const decode = this.responseDecoders[version] ?? this.addDecoder(this.responseDecoders, this.response, version)
    return decode(reader) as DecodedStruct<P>
  }

  /** Throws `EncodeError` for a value that does not fit its field. */
  encodeRequest(writer: ByteWriter, version: number, value: EncodableStruct<Q>): void {
    const encode = this.requestEncoders[version] ?? this.addEncoder(this.requestEncoders, this.request, version)
    encode(writer, value)
  }

  encodeResponse(writer: ByteWriter, version: number, value: EncodableStruct<P>): void {
    const encode = this.responseEncoders[version] ?? this.addEncoder(this.responseEncoders, this.response, version)
    encode(writer, value)
  }

  /** `decodeRequest` in steps. The bytes must not change before the last one. */
  *decodeRequestInSteps(reader: ByteReader, version: number): Generator<void, DecodedStruct<Q>> {
    if (!this.supports(version)) assert(false, `${this.name} has no version ${version}`)
    this.requestStepDecoders[version] ??= compileStepDecoder(this.request, version)
    const request = (yield* this.requestStepDecoders[version](reader)) as DecodedStruct<Q>
    const reason = this.checkRequest?.(request, version)
    if (reason !== undefined) throw new DecodeError(reason)
    return request
  }

  /** `encodeRequest` in steps. The value must not change before the last one. */
  encodeRequestInSteps(writer: ByteWriter, version: number, value: EncodableStruct<Q>): Generator<void, void> {
    if (!this.supports(version)) assert(false, `${this.name} has no version ${version}`)
    this.requestStepEncoders[version] ??= compileStepEncoder(this.request, version)
    return this.requestStepEncoders[version](writer, value)
  }

  /** `encodeResponse` in steps. The value must not change before the last one. */
  encodeResponseInSteps(writer: ByteWriter, version: number, value: EncodableStruct<P>): Generator<void, void> {
    if (!this.supports(version)) assert(false, `${this.name} has no version ${version}`)
    this.responseStepEncoders[version] ??= compileStepEncoder(this.response, version)
    return this.responseStepEncoders[version](writer, value)
  }

  private addDecoder(decoders: Decoder[], fields: Fields, version: number): Decoder {
    if (!this.supports(version)) assert(false, `${this.name} has no version ${version}`)
    const decoder = compileDecoder(fields, version)
    decoders[version] = decoder
    return decoder
  }

  private addEncoder(encoders: Encoder[], fields: Fields, version: number): Encoder {
    if (!this.supports(version)) assert(false, `${this.name} has no version ${version}`)
    const encoder = compileEncoder(fields, version)
    encoders[version] = encoder
    return encoder
  }
}

export function defineApi<const N extends string, const Q extends Fields, const P extends Fields>(
  definition: ApiDefinition<N, Q, P>,
): Api<N, Q, P> {
  return new Api(definition)
}
