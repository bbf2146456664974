import { defineApi } from '../api.ts'
import { array, int16, int32, nullableString, string } from '../schema.ts'

/**
 * UpdateMetadata: the controller tells a broker about partitions and live brokers.
 * v0 one plain endpoint per broker, v1 endpoints by security protocol, v2 racks, v3 listener names (KIP-103), v4 offline replicas.
 */
export const updateMetadata = defineApi({
  key: 6,
  name: 'UpdateMetadata',
  versions: [0, 4],
  clusterAction: true,
  request: {
    controllerId: int32,
    controllerEpoch: int32,
    partitionStates: array({
      topic: string,
      partition: int32,
      controllerEpoch: int32,
      leader: int32,
      leaderEpoch: int32,
      isr: array(int32),
      zkVersion: int32,
      replicas: array(int32),
      offlineReplicas: array(int32).since(4, []),
    }),
    liveBrokers: array({
      id: int32,
      endPoints: array({
        port: int32,
        host: string,
        listenerName: string.since(3, ''),
        securityProtocolType: int16,
      }).since(1, []),
      rack: nullableString.since(2, null),
      host: string.between(0, 0, ''),
      port: int32.between(0, 0, -1),
    }),
  },
  response: { errorCode: int16 },
  checkRequest: ({ liveBrokers }, version) => {
    // v3 and later name the listener, and the protocol is not looked at while parsing.
    if (version !== 1 && version !== 2) return undefined
    const types = liveBrokers.flatMap(({ endPoints }) => endPoints.map((endPoint) => endPoint.securityProtocolType))
    const wrong = types.find((type) => type < 0 || type > 3)
    return wrong === undefined ? undefined : `securityProtocolType: ${wrong}`
  },
})
