/** What only the classic clients throw, by the names of 0.8. */
import { KafkaException } from '../errors.ts'

/** No message within `consumer.timeout.ms`. The stream can be read on. */
export class ConsumerTimeoutException extends KafkaException {
  override readonly name = 'ConsumerTimeoutException'
}

/** All tries of a rebalance (`rebalance.max.retries`) failed. */
export class ConsumerRebalanceFailedException extends KafkaException {
  override readonly name = 'ConsumerRebalanceFailedException'
}

/** A connector makes its streams once. */
export class MessageStreamsExistException extends KafkaException {
  override readonly name = 'MessageStreamsExistException'
}

/** A message that is larger than a fetch, or than a broker takes. */
export class MessageSizeTooLargeException extends KafkaException {
  override readonly name = 'MessageSizeTooLargeException'
}

/** The queue of an asynchronous producer had no place within `queue.enqueue.timeout.ms`. */
export class QueueFullException extends KafkaException {
  override readonly name = 'QueueFullException'
}

/** The old producer is closed. */
export class ProducerClosedException extends KafkaException {
  override readonly name = 'ProducerClosedException'
}

/** `message.send.max.retries` further tries did not help. */
export class FailedToSendMessageException extends KafkaException {
  override readonly name = 'FailedToSendMessageException'
}
