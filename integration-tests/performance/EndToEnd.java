import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;

/** Apache's clients, one record at a time, as `end-to-end` of client-programs.ts. Arguments: BOOTSTRAP TOPIC RECORDS ACKS. */
class EndToEnd {
  public static void main(String[] args) throws Exception {
    Properties common = new Properties();
    common.put("bootstrap.servers", args[0]);
    for (String side : new String[] {"key.", "value."}) {
      common.put(side + "serializer", "org.apache.kafka.common.serialization.ByteArraySerializer");
      common.put(side + "deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer");
    }
    common.put("enable.auto.commit", "false");
    common.put("acks", args[3]);
    TopicPartition at = new TopicPartition(args[1], 0);
    int warmUp = Integer.parseInt(args[2]);
    long[] micros = new long[warmUp];
    KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(common);
    KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(common);
    consumer.assign(Collections.singletonList(at));
    consumer.seekToEnd(Collections.singletonList(at));
    consumer.position(at);
    byte[] value = new byte[100];
    for (int i = 0; i < warmUp * 2; i++) {
      consumer.poll(0); // a fetch waits at the broker
      long began = System.nanoTime();
      producer.send(new ProducerRecord<byte[], byte[]>(at.topic(), 0, null, value));
      while (consumer.poll(10_000).isEmpty());
      if (i >= warmUp) micros[i - warmUp] = (System.nanoTime() - began) / 1000;
    }
    Arrays.sort(micros);
    long sum = 0;
    for (long one : micros) sum += one;
    System.out.println(micros[warmUp / 2] + " " + micros[(int) (warmUp * 0.99)] + " " + sum / warmUp);
    System.exit(0);
  }
}
