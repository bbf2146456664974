import { type JsonObject, jsonBytes, jsonObject } from './json.ts'
import { scalaMapOrder } from './jvm-order.ts'
import type { BrokerRegistration, Endpoint } from './types.ts'
import { Fields, ZnodeError } from './znode.ts'

/**
 * `/brokers/ids/<id>`, ephemeral: a live broker and where it listens.
 *
 * - 0.7: text `creatorId:host:port`.
 * - v1, 0.8.0: `{ "host":"kafka1", "jmx_port":-1, "port":9092, "timestamp":"1380000000000", "version":1 }`; 0.8.1 compact.
 * - v2, 0.9 (KIP-2 endpoints): `endpoints`, strings `LISTENER://host:port`. host and port remain those of the first PLAINTEXT
 *   endpoint, or null and -1, for clients that know v1 only.
 * - v3, 0.10.0 (KIP-36): `rack`, when there is one.
 * - v4, 0.10.2 (KIP-103): `listener_security_protocol_map`; before it a listener's name was its protocol.
 *
 * A later broker writes the version of its inter.broker.protocol.version (2 below 0.10.0-IV1, 3 below 0.10.2-IV0, else 4), because
 * readers of 0.9.0.0 throw at a version above 2 (KAFKA-3100).
 */
export const BROKER_IDS_PATH = '/brokers/ids'

export function brokerIdPath(brokerId: number): string {
  return `${BROKER_IDS_PATH}/${brokerId}`
}

export type BrokerJsonVersion = 2 | 3 | 4

const PROTOCOLS: ReadonlySet<string> = new Set(['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'])

/** Keys in the order of 1.1, whose mutable map has it for every subset. */
export function encodeBrokerId(registration: BrokerRegistration, version: BrokerJsonVersion, timestamp: number): Buffer {
  const { endpoints, rack, jmxPort } = registration
  const plaintext = endpoints.find(({ securityProtocol }) => securityProtocol === 'PLAINTEXT')
  return jsonBytes(
    jsonObject(
      ['listener_security_protocol_map', version >= 4 ? protocolMap(endpoints) : undefined],
      ['endpoints', endpoints.map(endpointText)],
      ['rack', version >= 3 ? rack : undefined],
      ['jmx_port', jmxPort],
      ['host', plaintext?.host ?? null],
      ['timestamp', String(timestamp)],
      ['port', plaintext?.port ?? -1],
      ['version', version],
    ),
  )
}

function protocolMap(endpoints: readonly Endpoint[]): JsonObject {
  const protocols = new Map(endpoints.map(({ listenerName, securityProtocol }) => [listenerName, securityProtocol]))
  return new Map(scalaMapOrder([...protocols.keys()]).map((name) => [name, protocols.get(name)!]))
}

function endpointText({ listenerName, host, port }: Endpoint): string {
  return `${listenerName}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Reads v1 and later. `path` is that of the node, whose last segment is the broker id. */
export function decodeBrokerId(brokerId: number, data: Buffer | null): BrokerRegistration {
  const path = brokerIdPath(brokerId)
  const fields = Fields.of(path, data)
  const version = fields.int('version')
  if (version < 1) throw fields.error('version', `is ${version}, less than 1`)
  const endpoints = version === 1 ? [oldEndpoint(fields)] : endpointsOf(path, fields)
  return {
    brokerId,
    endpoints,
    jmxPort: fields.int('jmx_port'),
    ...(fields.has('rack') ? { rack: fields.text('rack') } : {}),
  }
}

function oldEndpoint(fields: Fields): Endpoint {
  return { host: fields.text('host'), port: fields.int('port'), listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT' }
}

function endpointsOf(path: string, fields: Fields): Endpoint[] {
  const protocols = fields.has('listener_security_protocol_map') ? fields.object('listener_security_protocol_map') : undefined
  const known = new Map(protocols?.keys().map((name) => [name.toUpperCase(), protocols.text(name)]) ?? [])
  return fields.texts('endpoints').map((text, i) => {
    const field = `endpoints[${i}]`
    const match = /^(.*):\/\/(?:\[([0-9a-zA-Z\-%._:]*)\]|([0-9a-zA-Z\-%._]*)):(-?\d+)$/.exec(text)
    if (match === null) throw new ZnodeError(path, field, `is "${text}", not LISTENER://host:port`)
    const listenerName = match[1]!.toUpperCase()
    const securityProtocol = protocols === undefined ? listenerName : known.get(listenerName)
    if (securityProtocol === undefined || !PROTOCOLS.has(securityProtocol))
      throw new ZnodeError(path, field, `is "${text}", whose listener has ${securityProtocol ?? 'no'} security protocol`)
    return {
      host: match[2] ?? match[3] ?? '',
      port: Number(match[4]),
      listenerName,
      securityProtocol: securityProtocol as Endpoint['securityProtocol'],
    }
  })
}
