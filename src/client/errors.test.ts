import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode, errors } from '../protocol/errors.ts'
import {
  ApiException,
  AuthorizationException,
  exceptionOf,
  isRetriable,
  KafkaException,
  OutOfOrderSequenceException,
  ProducerFencedException,
  TimeoutException,
  WakeupException,
} from './errors.ts'

test("each code has the Java client's exception: name, code, retriable", () => {
  for (const { code, name, retriable } of errors) {
    if (code === 0) continue
    const error = exceptionOf(code)
    assert.ok(error instanceof ApiException && error instanceof KafkaException)
    assert.deepEqual([error.code, error.errorName, error.retriable], [code, name, retriable])
  }
  assert.equal(exceptionOf(ErrorCode.NOT_LEADER_FOR_PARTITION).name, 'NotLeaderForPartitionException')
  assert.equal(exceptionOf(ErrorCode.TOPIC_ALREADY_EXISTS).name, 'TopicExistsException')
  assert.equal(exceptionOf(ErrorCode.UNKNOWN_PRODUCER_ID).name, 'UnknownProducerIdException')
  assert.equal(exceptionOf(999).name, 'UnknownServerException')
  assert.throws(() => exceptionOf(0), TypeError)
})

test('classes that programs ask for', () => {
  assert.ok(exceptionOf(ErrorCode.REQUEST_TIMED_OUT) instanceof TimeoutException)
  assert.ok(exceptionOf(ErrorCode.INVALID_PRODUCER_EPOCH) instanceof ProducerFencedException)
  assert.ok(exceptionOf(ErrorCode.UNKNOWN_PRODUCER_ID) instanceof OutOfOrderSequenceException)
  assert.ok(exceptionOf(ErrorCode.CLUSTER_AUTHORIZATION_FAILED) instanceof AuthorizationException)
  assert.equal(exceptionOf(ErrorCode.POLICY_VIOLATION, 'no').message, 'no')
})

test('what a wrong leader, a lost connection and a full disk have in common: the metadata are asked for anew', () => {
  const stale = errors.filter(({ code }) => code !== 0 && exceptionOf(code).invalidMetadata).map(({ code }) => code)
  assert.deepEqual(stale, [3, 5, 6, 13, 56])
})

test('a wakeup and strangers are not retriable', () => {
  assert.equal(isRetriable(new WakeupException()), false)
  assert.equal(isRetriable(new Error('x')), false)
  assert.equal(isRetriable(new TimeoutException()), true)
})
