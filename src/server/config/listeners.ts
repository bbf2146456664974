import type { Endpoint } from '../../../zk/znodes/types.ts'
import type { ConfigValues } from '../../base/config-def.ts'
import { ConfigException, IllegalConfigError } from '../../base/config-def.ts'

/** Where a broker listens. An empty host means every interface. */
export type ListenerEndpoint = Endpoint

type SecurityProtocol = Endpoint['securityProtocol']
const SECURITY_PROTOCOLS: readonly string[] = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']

const ENDPOINT = /^(.*):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$/

/** `NAME:PROTOCOL,...` (`listener.security.protocol.map`). Listener names are upper-cased. */
function parseProtocolMap(text: string): Map<string, SecurityProtocol> {
  const map = new Map<string, SecurityProtocol>()
  for (const [name, protocol] of parseNamedValues('listener.security.protocol.map', text)) {
    const listener = name.toUpperCase()
    if (!SECURITY_PROTOCOLS.includes(protocol)) {
      throw new IllegalConfigError(
        `Error parsing listener.security.protocol.map: ${protocol} of listener ${name} is no security protocol`,
      )
    }
    map.set(listener, protocol as SecurityProtocol)
  }
  return map
}

/** `key:value,key:value`; the value follows the last colon. */
export function parseNamedValues(configName: string, text: string): [string, string][] {
  return splitList(text).map((item) => {
    const colon = item.lastIndexOf(':')
    if (colon < 0)
      throw new ConfigException(`Invalid value ${text} for configuration ${configName}: ${item} is not of the form name:value`)
    return [item.slice(0, colon).trim(), item.slice(colon + 1).trim()]
  })
}

export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function parseEndpoint(text: string, protocols: ReadonlyMap<string, SecurityProtocol>): ListenerEndpoint {
  const match = ENDPOINT.exec(text)
  if (!match) throw new ConfigException(`Unable to parse ${text} to a broker endpoint`)
  const listenerName = match[1]!.toUpperCase()
  const securityProtocol = protocols.get(listenerName)
  if (!securityProtocol) throw new IllegalConfigError(`No security protocol defined for listener ${listenerName}`)
  return { listenerName, host: match[2]!, port: Number(match[3]), securityProtocol }
}

function parseEndpoints(list: string, protocols: ReadonlyMap<string, SecurityProtocol>): ListenerEndpoint[] {
  let endpoints: ListenerEndpoint[]
  try {
    endpoints = splitList(list).map((item) => parseEndpoint(item, protocols))
  } catch (error) {
    throw new IllegalConfigError(`Error creating broker listeners from '${list}': ${(error as Error).message}`, { cause: error })
  }
  const ports = endpoints.map((endpoint) => endpoint.port).filter((port) => port !== 0)
  if (new Set(ports).size !== ports.length) {
    throw new IllegalConfigError(`requirement failed: Each listener must have a different port, listeners: ${list}`)
  }
  if (new Set(endpoints.map((endpoint) => endpoint.listenerName)).size !== endpoints.length) {
    throw new IllegalConfigError(`requirement failed: Each listener must have a different name, listeners: ${list}`)
  }
  return endpoints
}

export interface ListenerSettings {
  readonly listeners: readonly ListenerEndpoint[]
  readonly advertisedListeners: readonly ListenerEndpoint[]
  readonly interBrokerListenerName: string
  readonly interBrokerSecurityProtocol: SecurityProtocol
}

function interBroker(values: ConfigValues, protocols: ReadonlyMap<string, SecurityProtocol>): [string, SecurityProtocol] {
  const named = values.stringOrNull('inter.broker.listener.name')
  if (named !== null) {
    if (values.isSet('security.inter.broker.protocol')) {
      throw new ConfigException('Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.')
    }
    const listener = named.toUpperCase()
    const protocol = protocols.get(listener)
    if (protocol) return [listener, protocol]
    throw new ConfigException(
      `Listener with name ${listener} defined in inter.broker.listener.name not found in listener.security.protocol.map.`,
    )
  }
  const protocol = values.string('security.inter.broker.protocol')
  if (!SECURITY_PROTOCOLS.includes(protocol)) {
    throw new ConfigException(
      `Invalid value ${protocol} for configuration security.inter.broker.protocol: no such security protocol`,
    )
  }
  return [protocol, protocol as SecurityProtocol]
}

/** `listeners` (else `host.name` and `port`), what is advertised, and which one brokers use. Throws as 1.1 refuses. */
export function parseListenerSettings(values: ConfigValues): ListenerSettings {
  const protocols = parseProtocolMap(values.string('listener.security.protocol.map'))
  const host = values.string('host.name')
  const port = values.number('port')
  const listeners = parseEndpoints(values.stringOrNull('listeners') ?? `PLAINTEXT://${host}:${port}`, protocols)
  const advertised = values.stringOrNull('advertised.listeners')
  const advertisedHost = values.stringOrNull('advertised.host.name')
  const advertisedPort = values.numberOrNull('advertised.port')
  const advertisedListeners =
    advertised !== null
      ? parseEndpoints(advertised, protocols)
      : advertisedHost !== null || advertisedPort !== null
        ? parseEndpoints(`PLAINTEXT://${advertisedHost ?? host}:${advertisedPort ?? port}`, protocols)
        : listeners
  const [interBrokerListenerName, interBrokerSecurityProtocol] = interBroker(values, protocols)
  return { listeners, advertisedListeners, interBrokerListenerName, interBrokerSecurityProtocol }
}
