/**
 * `/brokers/seqid`, persistent, since 0.9: a counter of generated broker ids. Its data says nothing (null, later empty); a broker
 * that wants an id sets it to empty bytes without condition and adds the new version to reserved.broker.max.id.
 */
export const SEQID_PATH = '/brokers/seqid'
