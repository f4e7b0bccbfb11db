/* What people see, against the text that it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/render_document.h"

/* Single quotes stand for double ones, so that documents can be read here. */
static json_t *document(const char *text)
{
	char *copy = strdup(text);
	json_t *parsed;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	parsed = json_loads(copy, 0, NULL);
	free(copy);
	assert_non_null(parsed);
	return parsed;
}

static void expect(void (*show)(const struct render *render, const json_t *document), const char *text, bool colour,
		   const char *expected)
{
	char *out = NULL;
	size_t size;
	struct render render = {
		.out = open_memstream(&out, &size), .colour = colour, .now_s = 1767323100}; /* 2026-01-02T03:05:00Z */
	json_t *parsed = document(text);

	show(&render, parsed);
	fclose(render.out);
	assert_string_equal(out, expected);
	free(out);
	json_decref(parsed);
}

static void test_status(void **state)
{
	static const char text[] = "{'schema':'ntm.status/"
				   "1','node':{'name':'a','fqdn':'a.ntm.internal','id':'00','v4':'198.18.0.1','v6':'"
				   "fd6e:746d::1','state':'up',"
				   "'since':'2026-01-02T03:04:00.000000Z'},'coordinator':{'address':'192.0.2.1:7367','"
				   "state':'ok','rtt_us':21000},'peers':["
				   "{'name':'b','v4':'198.18.0.2','v6':'fd6e:746d::2','state':'up','paths':[{'kind':'"
				   "direct','remote':'192.0.2.7:1','active':true,'rtt_us':3210,"
				   "'loss_permille':12}],'handovers':1,'last_handover':{'at':'2026-01-02T03:04:48."
				   "500000Z','gap_us':40500},'rx_bytes':1234567,'tx_bytes':999},"
				   "{'name':'c','v4':'198.18.0.3','v6':'fd6e:746d::3','state':'up','paths':[{'kind':'"
				   "relay','relay':'tokyo','active':true,'rtt_us':162000,"
				   "'loss_permille':0},{'kind':'direct','active':false}],'rx_bytes':0,'tx_bytes':1000},"
				   "{'name':'d','state':'up','paths':[{'kind':'direct','active':true},{'kind':'relay','"
				   "active':true}]},{'name':'e','state':'unreachable'}]}";

	(void)state;
	expect(render_status, text, false,
	       "a  up (since 60 s ago)\n"
	       "  name         a.ntm.internal\n"
	       "  addresses    198.18.0.1  fd6e:746d::1\n"
	       "  coordinator  192.0.2.1:7367  ok  21.0 ms\n"
	       "\n"
	       "PEER  IPV4        IPV6          STATE        PATH         RTT     LOSS   LAST HANDOVER          "
	       "RECEIVED  SENT\n"
	       "b     198.18.0.2  fd6e:746d::2  up           direct       3.2 ms  1.2 %  12 s ago, gap 40.5 ms  1.2 MB "
	       "   999 B\n"
	       "c     198.18.0.3  fd6e:746d::3  up           relay tokyo  162 ms  0.0 %  -                      0 B    "
	       "   1.0 kB\n"
	       "d     -           -             up           2 paths      -       -      -                      -      "
	       "   -\n"
	       "e     -           -             unreachable  -            -       -      -                      -      "
	       "   -\n");
}

static void test_status_tells_the_last_handovers(void **state)
{
	(void)state;
	expect(render_status,
	       "{'node':{'name':'a','state':'up'},'peers':[{'name':'b','last_handover':{'at':'2026-01-02T03:04:48Z',"
	       "'from':'direct 192.0.2.1 > 192.0.2.7:1','to':'relay 192.0.2.1 > 192.0.2.9:2','gap_us':40500,"
	       "'replayed_packets':5,'lost_packets':0,'cause':'peer-moved','moved':'peer'}}]}",
	       false,
	       "a  up\n  name         \n  addresses      \n\n"
	       "PEER  IPV4  IPV6  STATE  PATH  RTT  LOSS  LAST HANDOVER          RECEIVED  SENT\n"
	       "b     -     -     -      -     -    -     12 s ago, gap 40.5 ms  -         -\n"
	       "\nlast handovers\n"
	       "  b, 12 s ago: from direct 192.0.2.1 > 192.0.2.7:1 to relay 192.0.2.1 > 192.0.2.9:2, gap 40.5 ms, "
	       "5 packets sent again, 0 lost, because the peer moved\n");
}

static void test_status_without_anything(void **state)
{
	(void)state;
	expect(render_status,
	       "{'server':{'version':'1.2','zone':'z.example','roles':['relay'],'relay':{'pairs':3,"
	       "'forwarded_bytes':2000000,'forwarding':'xdp native on eth0'}}}",
	       false,
	       "this server  1.2\n  zone         z.example\n  roles        relay\n"
	       "  relay        3 pairs, 2.0 MB forwarded\n  forwarding   xdp native on eth0\n");
	expect(render_status, "{'server':{'roles':7}}", false, "this server  \n  zone         \n  roles       \n");
	expect(render_status, "{}", false, "this node  -\n  name         \n  addresses      \n  no peers yet\n");
	expect(render_status,
	       "{'node':{'state':'up','mapped':[{'local':'192.168.1.10','external':'203.0.113.11:7367','method':"
	       "'pcp'}]}}",
	       false,
	       "this node  up\n  name         \n  addresses      \n"
	       "  port opened  203.0.113.11:7367 for 192.168.1.10, by pcp\n  no peers yet\n");
	expect(render_status, "{'node':7,'peers':'x','coordinator':[]}", false,
	       "this node  -\n  name         \n  addresses      \n  coordinator    \n  no peers yet\n");
}

static void test_ping(void **state)
{
	(void)state;
	expect(render_ping, "{'seq':1,'name':'b','path':'direct','remote':'192.0.2.7:7367','rtt_us':850}", false,
	       "1: b via direct 192.0.2.7:7367, 850 us\n");
	expect(render_ping, "{'seq':2,'name':'b','path':'relay','relay':'tokyo','rtt_us':1250000}", false,
	       "2: b via relay tokyo, 1.25 s\n");
	expect(render_ping, "{'seq':3,'timeout':true}", false, "3: no answer\n");
}

static void summary(const struct render *render, const json_t *json)
{
	render_ping_summary(render, "b", json);
}

static void test_ping_summary(void **state)
{
	(void)state;
	expect(summary, "{'sent':4,'received':3,'rtt_min_us':900,'rtt_avg_us':1500,'rtt_max_us':99949}", false,
	       "b: 4 sent, 3 received, 25 % lost; rtt 900 us / 1.5 ms / 99.9 ms (min / avg / max)\n");
	expect(summary, "{'sent':2,'received':0}", false, "b: 2 sent, 0 received, 100 % lost\n");
	expect(summary, "{'sent':0,'received':0}", false, "b: 0 sent, 0 received, 0 % lost\n");
}

static void test_why(void **state)
{
	(void)state;
	expect(render_why,
	       "{'name':'b','steps':[{'step':'name','ok':true,'detail':'b.ntm.internal'},"
	       "{'step':'direction','ok':false,'detail':'refused','fix':'ask b to come "
	       "up'}],'reachable':false,'path':''}",
	       false,
	       "name       ok      b.ntm.internal\ndirection  FAILED  refused\n                   -> ask b to come "
	       "up\nb is not reachable\n");
	expect(render_why, "{'name':'b','steps':[],'reachable':true,'path':'direct'}", false,
	       "b is reachable, path: direct\n");
}

static void test_events(void **state)
{
	(void)state;
	expect(render_event,
	       "{'schema':'ntm.watch/"
	       "1','event':'handover','at':'2026-01-02T03:04:05.678901Z','peer':'b','from':'wlan0','to':'eth0','gap_us'"
	       ":12300}",
	       false, "03:04:05.678  handover          b  from wlan0  to eth0  gap 12.3 ms\n");
	expect(render_event,
	       "{'event':'address-added','at':'2026-01-02T12:04:05.6+09:00','address':'192.0.2.7','new_thing':3}",
	       false, "03:04:05.600  address-added       address 192.0.2.7  new_thing 3\n");
	expect(render_event,
	       "{'event':'path-selected','at':'2026-01-02T03:04:05Z','peer':'b','kind':'relay','cause':'silent'}",
	       false,
	       "03:04:05.000  path-selected     b  kind relay, because data on the old one was not acknowledged any "
	       "more\n");
	expect(render_event, "{'event':'error','error':'x'}", true, "\033[31merror           \033[0m    error x\n");
}

static void test_handover_and_nodes(void **state)
{
	(void)state;
	expect(render_handover, "{'from':'wlan0','to':'eth0','gap_us':0}", false,
	       "moved from wlan0 to eth0, gap 0 us\n");
	expect(render_handover, "{'from':'','to':'eth0','gap_us':0,'peers':[],'unanswered':0}", false,
	       "moved to eth0; no tunnel had to move\n");
	expect(render_handover,
	       "{'from':'wlan0','to':'eth0','gap_us':2000,'replayed_packets':7,'lost_packets':0,'unanswered':1,"
	       "'peers':[{'peer':'b','to':'direct 1 > 2','gap_us':2000,'replayed_packets':7,'lost_packets':0},"
	       "{'peer':'c','to':'relay','gap_us':900,'replayed_packets':0,'lost_packets':0}]}",
	       false,
	       "moved from wlan0 to eth0, gap 2.0 ms, 7 packets sent again, 0 lost; 1 peers have not answered yet\n"
	       "  b to direct 1 > 2, gap 2.0 ms, 7 packets sent again, 0 lost\n"
	       "  c to relay, gap 900 us, 0 packets sent again, 0 lost\n");
	expect(render_nodes, "{'nodes':[]}", false, "no nodes yet; `ntm invite` prints a join code\n");
	expect(render_nodes,
	       "{'nodes':[{'name':'a','fqdn':'a.ntm.internal','v4':'198.18.0.1','v6':'::1','state':'up','last_seen':'"
	       "2026-01-02T03:00:00Z'}]}",
	       false,
	       "NODE            IPV4        IPV6  STATE  LAST SEEN\na.ntm.internal  198.18.0.1  ::1   up     5 min "
	       "ago\n");
}

/* A peer's text never reaches the terminal as an escape sequence. */
static void test_escapes_do_not_survive(void **state)
{
	(void)state;
	expect(render_handover, "{'from':'\\u001b[2J','to':'a\\nb','gap_us':1}", false,
	       "moved from ?[2J to a?b, gap 1 us\n");
	expect(render_event, "{'event':'peer-up\\u0007','peer':'\\u001b]0;x'}", false, "peer-up?          ?]0;x\n");
}

static void test_units(void **state)
{
	char text[32];
	int64_t s;
	unsigned us;

	(void)state;
	assert_string_equal(render_bytes(0, text, sizeof text), "0 B");
	assert_string_equal(render_bytes(999950, text, sizeof text), "1.0 MB");
	assert_string_equal(render_bytes(INT64_MAX, text, sizeof text), "9223.4 PB");
	assert_string_equal(render_duration(-1, text, sizeof text), "-");
	assert_string_equal(render_age(-5, text, sizeof text), "0 s");
	assert_string_equal(render_age(3 * 86400, text, sizeof text), "3 d");
	assert_false(render_instant("yesterday", &s, &us));
	assert_false(render_instant(NULL, &s, &us));
	assert_false(render_instant("2026-01-02T03:04:05", &s, &us));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_tells_the_last_handovers),
		cmocka_unit_test(test_status_without_anything),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_ping_summary),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_handover_and_nodes),
		cmocka_unit_test(test_escapes_do_not_survive),
		cmocka_unit_test(test_units),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
