import { assert } from '../base/assert.ts'
import { type ByteReader, type ByteWriter, DecodeError } from '../base/bytes.ts'
import { ApiKey, type ApiSchema, apiByKey } from './apis/index.ts'
import { ErrorCode } from './errors.ts'

/** What stands in front of a request body. */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  /** Comes back in the response. */
  readonly correlationId: number
  /** A null one on the wire counts as empty, as in Kafka. */
  readonly clientId: string
}

/** ControlledShutdown v0 is the one request without a client id. */
function hasClientId(apiKey: number, apiVersion: number): boolean {
  return apiKey !== ApiKey.ControlledShutdown || apiVersion !== 0
}

/** Throws `DecodeError` when the header is cut or the API key is not one of 0 - 42: the connection is to be closed. */
export function decodeRequestHeader(reader: ByteReader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  if (apiByKey(apiKey) === undefined) throw new DecodeError(`unknown API key ${apiKey}`)
  const clientId = hasClientId(apiKey, apiVersion) ? (reader.nullableString() ?? '') : ''
  return { apiKey, apiVersion, correlationId, clientId }
}

export function encodeRequestHeader(writer: ByteWriter, header: RequestHeader): void {
  writer.int16(header.apiKey)
  writer.int16(header.apiVersion)
  writer.int32(header.correlationId)
  if (hasClientId(header.apiKey, header.apiVersion)) writer.string(header.clientId)
}

/** The correlation id: all there is in a response header. */
export function decodeResponseHeader(reader: ByteReader): number {
  return reader.int32()
}

export function encodeResponseHeader(writer: ByteWriter, correlationId: number): void {
  writer.int32(correlationId)
}

/**
 * A client that does not know us asks ApiVersions in its newest version. If we don't have that, the body is not looked at and the
 * answer is `encodeVersionProbeAnswer`; the connection stays open (KIP-35).
 */
export function isVersionProbe(header: RequestHeader): boolean {
  return header.apiKey === ApiKey.ApiVersions && apiByKey(ApiKey.ApiVersions)?.supports(header.apiVersion) === false
}

/** The API of a header. Throws `DecodeError` for a version outside the range: the connection is to be closed. */
export function apiOf(header: RequestHeader): ApiSchema {
  const api = apiByKey(header.apiKey)
  if (api?.supports(header.apiVersion) === true) return api
  throw new DecodeError(`${api?.name ?? `API ${header.apiKey}`} version ${header.apiVersion} is not supported`)
}

/** Response header and v0 body with error 35 and, as 1.1 does it, no versions. */
export function encodeVersionProbeAnswer(writer: ByteWriter, correlationId: number): void {
  writer.int32(correlationId)
  writer.int16(ErrorCode.UNSUPPORTED_VERSION)
  writer.int32(0)
}

/** Leaves room for the length of a frame; give the result to `endFrame`. */
export function beginFrame(writer: ByteWriter): number {
  return writer.reserve(4)
}

export function endFrame(writer: ByteWriter, start: number): void {
  const { tail, position } = writer
  assert(tail === undefined || position === writer.tailAt, 'something was written behind record bytes that end the message')
  writer.patchInt32(start, position - start - 4 + (tail?.size ?? 0))
}
