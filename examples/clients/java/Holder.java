import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * A client for holds, to copy into an application that may act only while its member is active.
 *
 * <pre>
 * Holder holder = new Holder("http://127.0.0.1:8079", "billing", System.out::println);
 * while (true) {
 *     try (Holder.Hold hold = holder.awaitHold()) {
 *         if (hold == null) {
 *             break; // after holder.close()
 *         }
 *         while (hold.mayAct()) {
 *             writeSomething(hold.term()); // has to take less than GRACE
 *         }
 *     } // the hold is released: nothing may act any more by now
 * }
 * </pre>
 *
 * docs/holds.md explains holds, and what this file does not do. It needs Linux, Java 11 and nothing else.
 * To try it: java Holder.java --worker http://127.0.0.1:8079 --name billing
 */
public final class Holder implements AutoCloseable {
    /** Seconds that a hold is asked for. docs/holds.md says how to choose them. */
    static final int FOR = 10;
    /** Seconds that the application needs to stop. Without an answer, it begins that long before its hold ends. */
    static final double GRACE = 1.0;
    /** Seconds between an answer and the next request. Most requests wait for news at the worker. */
    private static final double PAUSE = 0.2;
    /** Seconds by which {@link #boot} may be late. */
    private static final double TICK = 0.01;

    private final String path;
    private final Consumer<String> say;
    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).proxy(HttpClient.Builder.NO_PROXY).build();
    private final Thread thread = new Thread(this::run, "holder");
    private volatile String trouble = "";
    private String word = "";
    private Hold current;
    private boolean closing;

    /** Starts asking. worker: http://HOST:PORT. name: of this application, for people. say gets lines for a log. */
    public Holder(String worker, String name, Consumer<String> say) {
        this.path = worker.replaceAll("/+$", "") + "/tcf/holds/" + encoded(name);
        this.say = say;
        thread.setDaemon(true);
        thread.start();
    }

    /**
     * Seconds since the machine was started, rounded down to hundredths. System.nanoTime() stands still while the
     * machine sleeps, and Java has no other clock but the time of day, so this asks the kernel.
     */
    static double boot() {
        try {
            return Double.parseDouble(Files.readString(Path.of("/proc/uptime")).split(" ")[0]);
        } catch (IOException missing) {
            throw new UncheckedIOException(missing);
        }
    }

    /** Waits until the application may act. Returns null after close(). */
    public synchronized Hold awaitHold() throws InterruptedException {
        while (!closing) {
            if (current != null && !current.begun && current.mayAct()) {
                current.begun = true;
                return current;
            }
            wait();
        }
        return null;
    }

    /** Has the next requests say what is wrong with the application, for people; "" if it is healthy. */
    public void report(String trouble) {
        String shown = trouble.replaceAll("[\\p{C}\\p{Z}]", " ");
        this.trouble = shown.substring(0, Math.min(shown.length(), 200));
    }

    /** Has the application stop, and asks for no other hold. It does not wait: join() does. */
    @Override
    public synchronized void close() {
        closing = true;
        if (current != null) {
            current.stop("closing");
        }
        notifyAll();
    }

    /** Waits until the last hold is released. */
    public void join() throws InterruptedException {
        thread.join();
    }

    // --- in the thread ---------------------------------------------------------------------------------------

    private void run() {
        try {
            for (Hold hold; (hold = next()) != null; ) {
                keep(hold);
                release(hold);
            }
        } catch (InterruptedException nobodyDoesThat) {
            Thread.currentThread().interrupt();
        }
    }

    /** A new instance: one that was released is never used again. */
    private synchronized Hold next() {
        current = closing ? null : new Hold();
        return current;
    }

    /** Asks for the hold, and for more of it, until it is over. */
    private void keep(Hold hold) throws InterruptedException {
        int failures = 0;
        boolean patient = false;
        while (!hold.isOver()) {
            String said;
            try {
                said = ask(hold, patient);
                failures = 0;
            } catch (IOException | NumberFormatException failure) {
                said = "no answer: " + failure.getMessage();
                failures++;
            }
            patient = failures == 0;
            if (!hold.isOver() && !said.equals(word)) {
                word = said;
                say.accept("worker: " + said);
            }
            hold.pause(failures > 0 ? backoff(failures) : PAUSE);
        }
    }

    /** Sends one PUT, and returns the role. patient: the worker may wait for news before it answers. */
    private String ask(Hold hold, boolean patient) throws IOException, InterruptedException {
        double asked = boot();
        boolean acting = hold.mayAct();
        boolean known = hold.isKnown();
        double left = Math.max(0, hold.left() - (acting ? GRACE : 0));
        Map<String, String> query = new HashMap<>(Map.of("id", hold.instance, "for", FOR + "s"));
        String wrong = trouble;
        if (!wrong.isEmpty()) {
            query.putAll(Map.of("healthy", "false", "message", wrong));
        }
        int wait = 0;
        if (known && !acting) {
            query.put("draining", "true");
        } else if (patient) {
            wait = acting ? Math.min(FOR / 5, (int) (left / 2)) : FOR / 5;
        }
        query.put("wait", wait + "s");
        // This request may take half of what is left, so that there is time for another one.
        double seconds = wait + (known ? Math.max(0.3, (left - wait) / 2) : 5);
        HttpResponse<String> answer = send("PUT", hold, query, seconds);
        double held = Math.min(Double.parseDouble(answer.headers().firstValue("X-TCF-Held-For").orElse("0")), FOR);
        double until = held > 0 ? asked + held : 0;
        if (answer.statusCode() == 200 && until > 0) {
            hold.granted(until, Long.parseLong(answer.headers().firstValue("X-TCF-Term").orElse("")));
        } else if (answer.statusCode() == 418) {
            hold.refused(until, answer.body());
        } else {
            throw new IOException(answer.statusCode() + " " + answer.body());
        }
        return answer.body();
    }

    /** Tells the worker, until it knows or the hold has run out; for 3 s at most after close(). */
    private void release(Hold hold) throws InterruptedException {
        double began = boot();
        for (int failures = 1; boot() < began + 3 || (hold.left() > 0 && !isClosing()); failures++) {
            try {
                if (send("DELETE", hold, Map.of("id", hold.instance), 2).statusCode() == 204) {
                    say.accept("released");
                    return;
                }
            } catch (IOException failure) {
                // Asked again below.
            }
            Thread.sleep((long) (1000 * backoff(failures)));
        }
        say.accept("the release got no answer: the hold runs out by itself");
    }

    private synchronized boolean isClosing() {
        return closing;
    }

    /** Returns the answer. It has to come within so many seconds. */
    private HttpResponse<String> send(String method, Hold hold, Map<String, String> query, double seconds)
            throws IOException, InterruptedException {
        String parameters = query.entrySet().stream()
                .map(each -> each.getKey() + "=" + encoded(each.getValue())).collect(Collectors.joining("&"));
        long millis = (long) (1000 * seconds);
        HttpRequest request = HttpRequest.newBuilder(URI.create(path + "?" + parameters))
                .timeout(Duration.ofMillis(millis)).method(method, HttpRequest.BodyPublishers.noBody()).build();
        CompletableFuture<HttpResponse<String>> answer =
                client.sendAsync(request, HttpResponse.BodyHandlers.ofString());
        if (method.equals("PUT")) {
            hold.asks(answer);
        }
        try {
            return answer.get(millis, TimeUnit.MILLISECONDS); // the timeout above ends with the head of the answer
        } catch (ExecutionException | TimeoutException | CancellationException failure) {
            throw new IOException(failure.getMessage() == null ? "not in time" : failure.getMessage(), failure);
        } finally {
            answer.cancel(true);
        }
    }

    private static String encoded(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    /** Seconds to wait after so many failures in a row. */
    private static double backoff(int failures) {
        return Math.min(0.8, 0.1 * Math.pow(2, failures)) * ThreadLocalRandom.current().nextDouble(0.5, 1.0);
    }

    /** One hold, from the first request to its release. Any thread may use it. The lock is that of the Holder. */
    public final class Hold implements AutoCloseable {
        private final String instance = UUID.randomUUID().toString();
        /** When the hold ends; 0 if it has never been granted. */
        private double until;
        private long term;
        private String why = "";
        /** The application has it. */
        private boolean begun;
        /** Nothing acts under it, now or later. */
        private boolean over;
        private CompletableFuture<?> asking;

        private Hold() {}

        /** May something begin that takes less than GRACE? When this becomes false, it stays false. */
        public boolean mayAct() {
            synchronized (Holder.this) {
                if (isKnown() && left() <= GRACE) {
                    stop("no answer in time");
                }
                return isKnown() && why.isEmpty();
            }
        }

        /** Seconds until the hold ends. By then, what is finished after the stop has to be over as well. */
        public double left() {
            synchronized (Holder.this) {
                return until - boot() - TICK;
            }
        }

        /** Sleeps, but not for longer than the application may act. Returns whether it still may. */
        public boolean await(double seconds) throws InterruptedException {
            double end = boot() + seconds;
            synchronized (Holder.this) {
                double rest;
                while (mayAct() && (rest = Math.min(end - boot(), left() - GRACE)) > 0) {
                    Holder.this.wait(1 + (long) (1000 * Math.min(rest, 0.2))); // it does not count while asleep
                }
                return mayAct();
            }
        }

        /** The fencing token. Send it along with whatever you write. */
        public long term() {
            synchronized (Holder.this) {
                return term;
            }
        }

        /** Why the application has to stop; "" if it does not have to. */
        public String why() {
            synchronized (Holder.this) {
                return why;
            }
        }

        /** Nothing acts under this hold any more: release it. */
        @Override
        public void close() {
            synchronized (Holder.this) {
                over = true;
                stop("done");
            }
        }

        private void stop(String reason) {
            why = why.isEmpty() ? reason : why;
            over |= !begun;
            if (over && asking != null) {
                asking.cancel(true); // since Java 16 the worker learns of it; before that the answer is ignored
            }
            Holder.this.notifyAll();
        }

        private void asks(CompletableFuture<?> answer) {
            synchronized (Holder.this) {
                asking = answer;
                if (over) {
                    answer.cancel(true);
                }
            }
        }

        /** The member is active. */
        private void granted(double end, long newTerm) {
            synchronized (Holder.this) {
                until = Math.max(until, end);
                term = newTerm;
                Holder.this.notifyAll();
            }
        }

        /** The member is not active. end: when the hold ends, if the worker knows one; else 0. */
        private void refused(double end, String role) {
            synchronized (Holder.this) {
                until = Math.max(until, end);
                if (isKnown()) {
                    stop(role);
                }
            }
        }

        private boolean isKnown() {
            synchronized (Holder.this) {
                return until > 0;
            }
        }

        private boolean isOver() {
            synchronized (Holder.this) {
                return over;
            }
        }

        private void pause(double seconds) throws InterruptedException {
            double end = boot() + seconds;
            synchronized (Holder.this) {
                double rest;
                while (!over && (rest = end - boot()) > 0) {
                    Holder.this.wait(1 + (long) (1000 * rest));
                }
            }
        }
    }

    // --- to try it -------------------------------------------------------------------------------------------

    /** Prints a line a second while this member is active. */
    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> options = new HashMap<>(Map.of("--finish", "0", "--trouble", ""));
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            options.put(arguments[i], arguments[i + 1]);
        }
        double finish = Double.parseDouble(options.get("--finish"));
        Holder holder = new Holder(options.get("--worker"), options.get("--name"), System.out::println);
        holder.report(options.get("--trouble"));
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            holder.close();
            try {
                main.join();
            } catch (InterruptedException hurry) {
                Thread.currentThread().interrupt();
            }
        }));
        while (true) {
            try (Hold hold = holder.awaitHold()) {
                if (hold == null) {
                    break;
                }
                while (hold.mayAct()) {
                    say("acting at=%.3f term=%d", boot(), hold.term());
                    hold.await(1);
                }
                say("stop: %s", hold.why());
                double end = boot() + finish;
                while (boot() < end && hold.left() > GRACE / 2) {
                    say("finishing at=%.3f", boot());
                    Thread.sleep(200);
                }
                say("stopped at=%.3f", boot());
            }
        }
        holder.join();
    }

    private static void say(String text, Object... values) {
        System.out.println(String.format(Locale.ROOT, text, values));
    }
}
