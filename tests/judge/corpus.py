"""The judge's notebooks: one function per case, named for the rule that it shows.

A case returns the notebook as it lies on disk (stored clean unless the rule is about stored
outputs): a dictionary, or text where the spelling of the file is the rule. Both executors run it on
the same kernel. What they leave must be the same, so a case must not print what differs from run to
run: times, process ids, addresses. `case()` says how the step must end and what else it needs.
"""

import base64
import json
from dataclasses import dataclass, field

from support.notebooks import code, markdown, notebook, raw, stream, text_of


@dataclass
class Case:
    name: str
    build: object
    rule: str
    status: str = "SUCCESS"
    cause: str | None = None
    cell: int | None = None  # index, in the executed copy, of the cell that fails
    ename: str | None = None
    kernel: str = "python3"
    parameters: dict = field(default_factory=dict)
    pipeline_parameters: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)  # beside the notebook
    stable: bool = True  # the written file equals what nbformat would write, byte by byte
    exact_floats: bool = True  # floats agree as text, not only as numbers
    not_finite: bool = False  # NaN and infinities, which JSON cannot hold, may become null or text

    def text(self):
        built = self.build()
        return built if isinstance(built, str) else text_of(built)


CASES = {}


def case(**options):
    def register(function):
        name = function.__name__
        assert name not in CASES and function.__doc__, name
        CASES[name] = Case(name, function, function.__doc__, **options)
        return function

    return register


def failing(cell, ename, cause="cell_error", **options):
    return case(status="FAILURE", cause=cause, cell=cell, ename=ename, **options)


PNG = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
).decode()

# Sends one message as the kernel itself would, with the running cell as its parent.
SEND = """\
kernel = get_ipython().kernel
def send(kind, content, **more):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent('shell'),
                        ident=kind.encode(), **more)
"""

# Makes the kernel wait where its own queue of outgoing messages is full, instead of dropping some,
# which neither executor could help.
NO_DROP = """\
import zmq
iopub = get_ipython().kernel.iopub_thread
iopub.schedule(lambda: iopub.socket.setsockopt(zmq.XPUB_NODROP, 1))
"""

# Makes the kernel write JSON as Python does by default: bare NaN and Infinity included.
LOOSE_JSON = """\
import json
get_ipython().kernel.session.pack = lambda o: json.dumps(o, default=str).encode()
"""


# --------------------------------------------------------------------------------------- streams


@case()
def hello_world():
    """The smallest notebook that does something."""
    return notebook("print('hello, world')")


@case()
def no_cells():
    """A notebook without cells is executed, and gets language_info."""
    return notebook()


@case()
def only_markdown():
    """Nothing to run is success."""
    return notebook(markdown("# Title"), markdown("text"))


@case()
def counts_across_cells():
    """Execution counts go up by one for each cell that ran."""
    return notebook("a = 1", "a", "a + 1", "print(a)")


@case()
def stream_with_flushes():
    """Every flush may become a message of its own; the text is one."""
    return notebook("for i in range(50):\n    print(i, end=' ', flush=True)")


@case()
def stream_without_newline():
    """Text need not end in a newline."""
    return notebook("print('no newline', end='')", "import sys; sys.stdout.write('')")


@case()
def stderr():
    """The second stream keeps its name."""
    return notebook("import sys\nprint('to stderr', file=sys.stderr)")


@case()
def stdout_and_stderr_interleaved():
    """Two streams in one cell."""
    source = "import sys\nfor i in range(20):\n    print('out', i, flush=True)\n"
    return notebook(source + "    print('err', i, file=sys.stderr, flush=True)")


@case()
def stream_between_displays():
    """A display between two prints keeps them apart."""
    return notebook("print('a')\ndisplay(1)\nprint('b')\ndisplay(2)\nprint('c')")


@case()
def carriage_returns():
    """Progress bars: \\r and \\b are text like any other."""
    return notebook("for i in range(30):\n    print(f'\\r{i:3d} %', end='', flush=True)\nprint('\\b!')")


@case()
def odd_line_separators():
    """Lines are split in the file where Python splits them, at ten kinds of separator."""
    text = "a\\x0bb\\x0cc\\x1cd\\x1de\\x1ef\\x85g\\u2028h\\u2029i\\r\\nj\\rk\\n"
    return notebook(f"print('{text}')", f"from IPython.display import HTML\nHTML('{text}')")


@case()
def source_with_odd_separators():
    """The same separators in a cell's source come back as they were."""
    return notebook("x = '''a\x0cb\u2028c\x85d'''\nprint(ascii(x))", markdown("a\x0bb\u2029c"))


@case()
def unicode_of_all_planes():
    """UTF-8 of one to four bytes, combining marks, right to left, emoji sequences."""
    text = "aé߿ࠀ\uffff𐀀\U0010ffff e\u0301 שלום 日本語 👩🏽‍🚀"
    return notebook(f"print('{text}')", f"'{text}'", markdown(text))


@case()
def ansi_colours_in_a_stream():
    """Escape sequences in printed text are kept."""
    return notebook("print('\\x1b[31mred\\x1b[0m \\x1b]8;;http://x\\x07link')")


@case()
def nul_characters():
    """NUL is an ordinary character of a JSON string."""
    return notebook("print('a\\0b\\0', end='')", "display({'text/plain': 'x\\0y'}, raw=True)")


@case()
def control_characters():
    """Every character below the space."""
    return notebook("print(''.join(map(chr, range(32))), end='')")


@case()
def quotes_and_backslashes():
    """What JSON escapes."""
    return notebook("print(r'\"\\ \\\\ \\\" / \\u0041 </script>', chr(0x7f))")


@case()
def invalid_utf8_to_the_descriptor():
    """Bytes that are no UTF-8, written below Python."""
    return notebook("import os, time\nn = os.write(1, b'ab\\xff\\xfe\\xc3(cd\\n')\ntime.sleep(0.5)")


@case()
def invalid_utf8_on_the_wire():
    """A lone surrogate reaches the wire as a byte that is no UTF-8: U+FFFD in the file."""
    return notebook("print('a\\udcffb')")


@case()
def stdout_buffer():
    """Whatever sys.stdout.buffer does in this kernel, it does it in both."""
    source = "import sys\ntry:\n    sys.stdout.buffer.write(b'\\xff\\xfebytes\\n')\n"
    return notebook(source + "except Exception as e:\n    print(type(e).__name__)")


@case()
def empty_print():
    """Nothing printed is no output; a newline is one."""
    return notebook("print(end='')", "print()")


@case()
def five_thousand_flushed_prints():
    """A flood of small messages loses none."""
    return notebook(NO_DROP, "for i in range(5000):\n    print(i, flush=True)")


@case()
def twenty_thousand_prints():
    """Many lines in few messages."""
    return notebook("for i in range(20000):\n    print('line', i)")


@case()
def huge_output():
    """Five megabytes in one line."""
    return notebook("print('x' * 5_000_000)", "'done'")


@case()
def huge_display():
    """Three megabytes of base64 in one output."""
    return notebook(
        "import base64\nd = base64.b64encode(bytes(range(256)) * 9000).decode()\n"
        "display({'image/png': d, 'text/plain': 'big'}, raw=True)"
    )


@case()
def thousand_displays():
    """Many outputs in one cell stay in order."""
    return notebook(NO_DROP, "for i in range(1000):\n    display(i)")


@case()
def subprocess_output():
    """A child writes to the inherited descriptor."""
    return notebook(
        "import subprocess, time\nr = subprocess.run(['echo', 'from a child'])\ntime.sleep(0.5)",
        "subprocess.run(['sh', '-c', 'echo captured; echo err >&2'], capture_output=True).stderr",
    )


@case()
def thread_prints_in_a_later_cell():
    """A thread started in one cell prints while the next one runs."""
    return notebook(
        "import threading\ngo = threading.Event()\n"
        "def work():\n    go.wait()\n    print('from the thread', flush=True)\n"
        "t = threading.Thread(target=work)\nt.start()\nprint('started')",
        "go.set()\nt.join()\nimport time\ntime.sleep(0.3)",
    )


@case()
def logging_to_stderr():
    """The logging module writes to the kernel's stderr."""
    return notebook("import logging\nlogging.warning('careful')")


@case()
def warnings_to_stderr():
    """A warning names a file of the kernel's own."""
    return notebook("import warnings\nwarnings.warn('careful')")


# --------------------------------------------------------------------- display_data, all mime kinds


@case()
def display_plain():
    """display() of ordinary values, None included."""
    return notebook("display(1, 'two', [3], {'four': 4}, None)")


@case()
def display_none_alone():
    """None as an expression shows nothing, as an argument it does."""
    return notebook("None", "display(None)", "display()")


@case()
def display_html():
    """text/html, several lines."""
    return notebook("from IPython.display import HTML\nHTML('<b>bold</b>\\n<i>it</i>\\n')")


@case()
def display_png():
    """Base64 stays one string."""
    return notebook(f"import base64\nfrom IPython.display import Image\nImage(data=base64.b64decode('{PNG}'))")


@case()
def display_png_with_size():
    """Size goes into the output's metadata."""
    return notebook(
        f"import base64\nfrom IPython.display import Image\n"
        f"display(Image(data=base64.b64decode('{PNG}'), width=20, height=10, alt='dot'))"
    )


@case()
def display_jpeg_and_gif():
    """More base64 kinds."""
    return notebook(
        "display({'image/jpeg': '/9j/AAA=', 'text/plain': 'j'}, raw=True)\n"
        "display({'image/gif': 'R0lGODlhAQABAAAAACw=\\n', 'text/plain': 'g'}, raw=True)"
    )


@case()
def display_pdf_and_unknown_mime():
    """Mime types nobody knows are kept as they come."""
    return notebook(
        "display({'application/pdf': 'JVBERi0=', 'application/x-unknown': 'a\\nb\\n',"
        " 'text/x-own': 'c\\nd', 'video/mp4': 'AAAA'}, raw=True)"
    )


@case()
def display_svg():
    """image/svg+xml is split into lines."""
    return notebook(
        "from IPython.display import SVG\n"
        "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\">\\n <g/>\\n</svg>')"
    )


@case()
def display_json():
    """application/json is kept as a value, with its own metadata."""
    return notebook(
        "from IPython.display import JSON\n"
        "JSON({'b': [1, 2.5, None, True, {'x': {}}], 'a': 'text\\nof lines'}, expanded=True)"
    )


@case()
def display_vega_like():
    """+json mime types with versions in them; keys sorted on disk; lists of strings stay lists."""
    return notebook(
        "display({'application/vnd.vegalite.v5+json': {'mark': 'bar', 'data': {'values': "
        "[{'b': 1, 'a': 'x\\ny'}]}, '$schema': 's'}, 'application/geo+json': {'type': 'Point', "
        "'coordinates': [0.5, -1]}, 'application/vnd.x+json': ['a\\nb', 'c'], "
        "'application/vnd.y+json': 'a\\nb\\n', 'text/plain': 'v'}, raw=True)"
    )


@case()
def display_latex_and_markdown():
    """text/latex, text/markdown, math."""
    return notebook(
        "from IPython.display import Latex, Markdown, Math\n"
        "display(Latex('$x^2$'), Markdown('# h\\n\\n*i*'), Math(r'\\frac{1}{2}'))"
    )


@case()
def display_javascript():
    """application/javascript is split into lines."""
    return notebook("from IPython.display import Javascript\nJavascript('let a = 1;\\nlet b = 2;')")


@case()
def display_objects():
    """IPython's other display objects."""
    return notebook(
        "from IPython.display import Pretty, Code, IFrame, Audio, YouTubeVideo\n"
        "display(Pretty('p'), IFrame('http://x/', 1, 2), YouTubeVideo('id'))",
        "Code('x = 1', language='python')",
    )


@case()
def display_metadata():
    """Metadata per mime type."""
    return notebook(
        "display({'text/plain': 'a', 'image/png': ''}, metadata={'image/png': {'width': 1}, "
        "'own': [1, {'b': 2, 'a': 1}]}, raw=True)"
    )


@case()
def display_empty_bundle():
    """A bundle without a mime type."""
    return notebook(SEND + "send('display_data', {'data': {}, 'metadata': {}, 'transient': {}})")


@case()
def repr_mimebundle():
    """An object that makes its own bundle, with metadata."""
    return notebook(
        "class Own:\n    def _repr_mimebundle_(self, include=None, exclude=None):\n"
        "        return {'text/html': '<i>own</i>', 'text/plain': 'own'}, {'text/html': {'a': 1}}\n"
        "Own()"
    )


@case()
def matplotlib_figure():
    """A figure: base64 and its size."""
    return notebook(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\n"
        "plt.figure(figsize=(1, 1), dpi=40)\nplt.plot([1, 2, 3]);"
    )


@case()
def execute_result():
    """The last expression, with the kernel's count."""
    return notebook("1 + 1", "'text'", "_ + '!'", "x = 5", "x;")


@case()
def execute_result_and_streams():
    """Result after stream after display."""
    return notebook("print('s')\ndisplay('d')\n'r'")


@case()
def ast_node_interactivity_all():
    """Several results in one cell."""
    return notebook("get_ipython().ast_node_interactivity = 'all'", "1\n2\nprint('x')\n3")


@case()
def big_integers():
    """Integers beyond 64 bits keep every digit."""
    return notebook(
        "display({'application/json': {'n': 2**70, 'm': -2**64, 'k': 2**63, 'l': 10**60}}, raw=True)",
        "2**200",
    )


@case()
def floats_to_the_byte():
    """Floats keep the spelling that the kernel sent."""
    return notebook(
        "display({'application/json': [0.1, 1e22, 1e16, 5e-324, 1.7976931348623157e308, -0.0, "
        "123456789012345680.0, 1/3, 100.0, 1e-7]}, raw=True)"
    )


@case(not_finite=True)
def bare_nan_and_infinity():
    """Some kernels send NaN and Infinity, which are no JSON."""
    return notebook(
        LOOSE_JSON,
        "display({'application/json': {'a': float('nan'), 'b': [float('inf'), -float('inf')]}}, "
        "raw=True)",
        "print('still here')",
    )


@case()
def nan_as_the_kernel_cleans_it():
    """NaN through the kernel's own encoder."""
    return notebook("display({'application/json': {'a': float('nan')}}, raw=True)")


@case()
def escaped_json_on_the_wire():
    """A kernel that escapes all beyond ASCII, surrogate pairs included: plain UTF-8 in the file."""
    return notebook(LOOSE_JSON, "print('é 日本 😀 \\u2028 </')\ndisplay('\\U0001f600')")


@case()
def deep_json():
    """Sixty levels in one output."""
    return notebook(
        "v = 1\nfor i in range(60):\n    v = [v] if i % 2 else {'k': v}\n"
        "display({'application/json': v}, raw=True)"
    )


@case()
def empty_containers_in_json():
    """{} and [] as Python writes them with an indent."""
    return notebook("display({'application/json': {'a': {}, 'b': [], 'c': [[], {}], '': ''}}, raw=True)")


@case()
def keys_sorted_by_code_point():
    """Keys beyond the basic plane sort by code point."""
    return notebook(
        "display({'application/json': {'\\uffff': 1, '\\U00010000': 2, 'é': 3, 'Z': 4, 'a': 5, "
        "'a b': 6, 'a\"': 7, '\\n': 8, '10': 9, '9': 10}}, raw=True)"
    )


# -------------------------------------------------------------------------- clear_output, seven rules


CLEAR = "from IPython.display import clear_output, display, update_display\n"


@case()
def clear_drops_at_once():
    """clear_output() drops what the cell has shown."""
    return notebook(CLEAR + "print('gone')\nclear_output()\nprint('kept')")


@case()
def clear_at_the_end():
    """Nothing follows: the cell is empty."""
    return notebook(CLEAR + "print('gone')\ndisplay('gone')\nclear_output()")


@case()
def clear_waits_for_the_next_output():
    """wait=True drops when the next output comes."""
    return notebook(CLEAR + "print('gone')\nclear_output(wait=True)\nprint('kept')")


@case()
def clear_wait_at_the_end():
    """wait=True with nothing after it drops nothing."""
    return notebook(CLEAR + "print('kept')\nclear_output(wait=True)", "print('next cell')")


@case()
def clear_wait_does_not_reach_the_next_cell():
    """A pending clear ends with its cell."""
    return notebook(CLEAR + "print('a')\nclear_output(wait=True)", "print('b')", "print('c')")


@case()
def clear_wait_then_clear():
    """An immediate clear after a waiting one."""
    return notebook(
        CLEAR + "print('a')\nclear_output(wait=True)\nclear_output()\nprint('b')\nprint('c')"
    )


@case()
def clear_wait_and_update():
    """An update is no output: it does not set off a waiting clear."""
    return notebook(
        CLEAR + "h = display('a', display_id='d1')\nclear_output(wait=True)\n"
        "update_display('b', display_id='d1')"
    )


@case()
def clear_then_update_of_the_cleared():
    """What was cleared is not updated."""
    return notebook(
        CLEAR + "display('a', display_id='d2')\nclear_output()\nprint('x')\n"
        "update_display('b', display_id='d2')"
    )


@case()
def clear_then_show_again():
    """After a clear the same id shows and updates again."""
    return notebook(
        CLEAR + "display('a', display_id='d3')\nclear_output()\ndisplay('b', display_id='d3')",
        "update_display('c', display_id='d3')",
    )


@case()
def clear_in_a_loop():
    """An animation leaves its last frame."""
    return notebook(CLEAR + "for i in range(25):\n    clear_output(wait=True)\n    print(i)")


@case()
def clear_does_not_touch_other_cells():
    """Earlier cells keep theirs."""
    return notebook("print('first')", CLEAR + "print('second')\nclear_output()")


# -------------------------------------------------------------------------------------- display ids


@case()
def update_within_a_cell():
    """An update replaces data and metadata."""
    return notebook(CLEAR + "h = display('one', display_id=True)\nprint('between')\nh.update('two')")


@case()
def update_across_cells():
    """An update reaches every earlier cell that shows the id."""
    return notebook(
        CLEAR + "h = display('a', display_id='shared')",
        "print('between')",
        "display('b', display_id='shared')",
        "h.update('c')",
    )


@case()
def same_id_twice_in_a_cell():
    """Showing the id again rewrites the earlier one."""
    return notebook(CLEAR + "display('a', display_id='t')\nprint('-')\ndisplay('b', display_id='t')")


@case()
def update_unknown_id():
    """An id that nobody shows."""
    return notebook(CLEAR + "update_display('nobody', display_id='unknown')\nprint('on')")


@case()
def update_keeps_the_output_type():
    """execute_result with an id is updated and stays an execute_result."""
    return notebook(
        SEND + "send('execute_result', {'data': {'text/plain': 'a'}, 'metadata': {}, "
        "'execution_count': 7, 'transient': {'display_id': 'r'}})",
        "send('update_display_data', {'data': {'text/html': 'b'}, 'metadata': {'m': 1}, "
        "'transient': {'display_id': 'r'}})",
    )


@case()
def display_id_null():
    """transient and display_id may be null."""
    return notebook(
        SEND + "d = {'data': {'text/plain': 'a'}, 'metadata': {}}\n"
        "send('display_data', dict(d, transient=None))\n"
        "send('display_data', dict(d, transient={'display_id': None}))\n"
        "send('display_data', d)\n"
        "send('update_display_data', dict(d, transient={}))\n"
        "send('update_display_data', dict(d, transient=None))"
    )


@case()
def transient_is_never_stored():
    """What is transient does not reach the file."""
    return notebook("display('a', transient={'secret': 1})", "display('b', display_id='z')")


@case()
def many_updates():
    """Two thousand updates of one output."""
    return notebook(NO_DROP, "h = display(0, display_id=True)\nfor i in range(2000):\n    h.update(i)")


@case()
def update_inside_other_outputs():
    """Positions of outputs before and after a wait-clear."""
    return notebook(
        CLEAR + "print('a')\ndisplay(1, display_id='p')\nclear_output(wait=True)\nprint('b')\n"
        "display(2, display_id='p')\nprint('c')\nupdate_display(3, display_id='p')"
    )


# --------------------------------------------------------------------------- messages out of the way


@case()
def unknown_message_types():
    """Messages that are no outputs are passed over."""
    return notebook(SEND + "send('novelty', {'a': 1})\nsend('debug_event', {})\nprint('on')")


@case()
def foreign_parent_is_ignored():
    """Output of another request is not this cell's."""
    return notebook(
        SEND + "kernel.session.send(kernel.iopub_socket, 'stream', {'name': 'stdout', "
        "'text': 'foreign'}, parent={'msg_id': 'x', 'msg_type': 'execute_request', 'session': 's', "
        "'username': 'u', 'date': '2020-01-01T00:00:00Z', 'version': '5.3'})\n"
        "kernel.session.send(kernel.iopub_socket, 'stream', {'name': 'stdout', 'text': 'none'})\n"
        "print('own')"
    )


@case()
def error_message_without_error_reply():
    """An error output alone does not fail the cell."""
    return notebook(
        SEND + "send('error', {'ename': 'E', 'evalue': 'v', 'traceback': ['t1', 't2']})", "1"
    )


@case()
def payloads_are_ignored():
    """A pager and set_next_input leave nothing behind."""
    return notebook(
        "get_ipython().set_next_input('x = 1')", "from IPython.core import page\npage.page('text')"
    )


# -------------------------------------------------------------------------------- comms and widgets


@case()
def comm_with_unknown_target():
    """A comm that nobody handles; its state, if it has any, is no widget."""
    return notebook(
        "from comm import create_comm\n"
        "c = create_comm(target_name='nobody', data={'x': 1})\nc.send({'y': 2})\nc.close()",
        "print('on')",
    )


@case()
def widget_state_saved():
    """A slider's models, its layout and style."""
    return notebook("import ipywidgets\ns = ipywidgets.IntSlider(value=3, description='é')\ns")


@case()
def widget_state_merged():
    """Later changes are merged into the state."""
    return notebook(
        "import ipywidgets\ns = ipywidgets.IntSlider()", "s.value = 42\ns.description = 'later'", "s"
    )


@case()
def widget_tree():
    """Boxes that refer to their children."""
    return notebook(
        "from ipywidgets import *\nVBox([HBox([Button(description='a'), Text('b')]), "
        "Dropdown(options=['x', 'y'], value='y')])"
    )


@case()
def widget_with_buffers():
    """Binary state is kept as base64 beside the state, by path."""
    return notebook(
        f"import base64, ipywidgets\nipywidgets.Image(value=base64.b64decode('{PNG}'), format='png')"
    )


@case()
def widget_buffers_replaced():
    """A later buffer of the same path replaces the earlier."""
    return notebook("import ipywidgets\ni = ipywidgets.Image(value=b'one')", "i.value = b'two'", "i")


@case()
def widget_closed():
    """A closed widget's state stays, as nobody takes it away."""
    return notebook("import ipywidgets\ns = ipywidgets.IntSlider()\ns.close()", "1")


@case()
def widget_interact():
    """interact() runs its function into an Output widget."""
    return notebook("from ipywidgets import interact\n@interact(x=3)\ndef f(x):\n    print('x is', x)")


@case()
def widget_state_replaces_the_stored():
    """Stored widget state of an earlier execution is replaced."""
    old = {"application/vnd.jupyter.widget-state+json": {"state": {"old": {}}, "version_major": 2,
                                                         "version_minor": 0}}
    return notebook("import ipywidgets\nipywidgets.Text('new')", metadata={"widgets": old})


OUT = "import ipywidgets as w\nimport sys\nfrom IPython.display import clear_output, HTML\no = w.Output()\n"


@case()
def output_widget_captures_a_stream():
    """Printed inside a capture: in the widget, not in the cell."""
    return notebook(OUT + "o", "with o:\n    print('inside')\nprint('outside')")


@case()
def output_widget_merges_streams():
    """Consecutive prints become one stream of the widget."""
    return notebook(
        OUT + "with o:\n    print('a', flush=True)\n    print('b', flush=True)\n"
        "    print('e', file=sys.stderr, flush=True)\n    print('c', flush=True)\no"
    )


@case()
def output_widget_captures_displays():
    """Rich output inside a capture."""
    return notebook(OUT + "with o:\n    display(HTML('<b>x</b>'))\n    display(2)\no")


@case()
def output_widget_captures_an_error():
    """An exception inside a capture goes into the widget; the cell goes on."""
    return notebook(OUT + "with o:\n    raise ValueError('inside')", "print('next')", "o")


@case()
def output_widget_clears():
    """clear_output inside a capture clears the widget."""
    return notebook(
        OUT + "print('cell')\nwith o:\n    print('gone')\n    clear_output()\n    print('kept')\no"
    )


@case()
def output_widget_clears_waiting():
    """clear_output(wait=True) inside a capture."""
    return notebook(
        OUT + "with o:\n    print('gone')\n    clear_output(wait=True)\n    print('kept')\no",
        "print('on')",
    )


@case()
def output_widgets_nested():
    """The innermost capture takes the output."""
    return notebook(
        OUT + "p = w.Output()\nwith o:\n    print('outer 1')\n    with p:\n        print('inner')\n"
        "    print('outer 2')\nprint('cell')\ndisplay(o, p)"
    )


@case()
def output_widget_append_and_assign():
    """Outputs set from the kernel's side."""
    return notebook(OUT + "o.append_stdout('appended\\n')\no.append_display_data(HTML('h'))\no",
                    "o.outputs = ()", "o")


@case()
def output_widget_across_cells():
    """A capture in a later cell adds to the same widget."""
    return notebook(OUT + "o", "with o:\n    print('one')", "with o:\n    print('two')")


# ------------------------------------------------------------------------------ errors and the tags


@failing(0, "ZeroDivisionError")
def error_stops():
    """The first error ends the notebook; its traceback is kept, later cells do not run."""
    return notebook("1/0", "print('never')", markdown("after"))


@failing(1, "ValueError")
def error_after_output():
    """What the failing cell printed is kept before the error."""
    return notebook("print('fine')", "print('before')\nraise ValueError('a\\nb é')")


@failing(0, "KeyError")
def error_chained():
    """A rich traceback: two exceptions, several frames."""
    return notebook(
        "def f(n):\n    return {}[n] if not n else f(n - 1)\n"
        "try:\n    f(3)\nexcept KeyError as e:\n    raise KeyError('outer') from e"
    )


@failing(0, "SyntaxError")
def error_syntax():
    """A cell that does not compile."""
    return notebook("x = = 1", "2")


@failing(0, "ExceptionGroup")
def error_group():
    """An exception group."""
    return notebook("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])")


@failing(0, "Own")
def error_of_own_class():
    """A class with an empty message and one that draws its own traceback."""
    return notebook(
        "class Own(Exception):\n    def _render_traceback_(self):\n        return ['drawn', 'by hand']\n"
        "raise Own"
    )


@failing(0, "KeyboardInterrupt")
def error_keyboard_interrupt():
    """KeyboardInterrupt raised by the cell itself."""
    return notebook("raise KeyboardInterrupt", "1")


@failing(0, "SystemExit")
def error_sys_exit():
    """sys.exit(3) is an error like any other."""
    return notebook("import sys\nsys.exit(3)", "1")


@failing(0, "StdinNotImplementedError")
def error_input_refused():
    """input() is refused at once."""
    return notebook("input('name? ')", "1")


@failing(0, "UsageError")
def error_in_a_magic():
    """A magic fails with text on stderr and without an error output."""
    return notebook("%this_magic_does_not_exist", "1")


@failing(0, "CalledProcessError")
def error_in_bash():
    """A failing %%bash."""
    return notebook("%%bash\necho before\nexit 3", "1")


@failing(2, "NameError")
def error_leaves_later_cells_empty():
    """Cells that were not reached show nothing of an earlier execution."""
    old = code("2", outputs=[stream("old\n")], execution_count=9)
    return notebook("1", markdown("m"), "undefined_name", old, old)


@case()
def raises_exception_tag():
    """The tag allows an error: kept, and the notebook goes on."""
    return notebook(code("1/0", "raises-exception"), "print('goes on')")


@case()
def raises_exception_tag_without_error():
    """The tag does not demand one."""
    return notebook(code("1", "raises-exception"), "2")


@failing(1, "ValueError")
def raises_exception_covers_one_cell():
    """The next cell's error counts."""
    return notebook(code("1/0", "raises-exception"), "raise ValueError")


@case()
def skip_execution_tag():
    """Skipped: stored outputs and count stay, the counter does not move."""
    old = code("print('not run')", "skip-execution", outputs=[stream("old\n")], execution_count=5)
    return notebook("1", old, "2")


@case()
def skip_tag():
    """The short spelling of the same tag."""
    old = code("print('not run')", "other", "skip", outputs=[stream("old\n")], execution_count=5)
    return notebook("1", old, "2")


@case()
def skipped_cell_with_an_error():
    """What is skipped cannot fail."""
    return notebook(code("1/0", "skip-execution"), code("x = = 1", "skip"), "3")


@case()
def empty_cells():
    """Cells of nothing or of white space are passed over, with what is stored in them."""
    old = code("  \n\t", outputs=[stream("old\n")], execution_count=5)
    return notebook("1", "", old, "\n", "2")


@case()
def comment_only_cell():
    """A comment is executed."""
    return notebook("# nothing", "1")


@case()
def raw_and_markdown_cells():
    """Cells that are no code stay as they are, tags and attachments too."""
    attachments = {"a.png": {"image/png": PNG}}
    return notebook(
        raw("1/0", format="text/restructuredtext"), markdown("![a](attachment:a.png)", attachments), "1"
    )


# ---------------------------------------------------------------------------------- kernels that die


@failing(1, None, cause="kernel_died")
def kernel_exits():
    """os._exit in a cell: what it had printed is kept."""
    return notebook(
        "print('first')",
        "import os, time\nprint('last words', flush=True)\ntime.sleep(0.5)\nos._exit(3)",
        "print('never')",
    )


@failing(0, None, cause="kernel_died")
def kernel_exits_with_zero():
    """Exit status 0 is no success."""
    return notebook("import os, time\nprint('x', flush=True)\ntime.sleep(0.5)\nos._exit(0)", "1")


@failing(0, None, cause="kernel_died")
def kernel_terminates_itself():
    """SIGTERM to itself."""
    return notebook(
        "import os, signal, time\nprint('x', flush=True)\ntime.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)", "1"
    )


@failing(0, None, cause="kernel_died")
def kernel_crashes():
    """A segmentation fault."""
    return notebook(
        "import os, signal, time\nprint('x', flush=True)\ntime.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGSEGV)\ntime.sleep(30)"
    )


# ------------------------------------------------------------------------- languages, magics, surroundings


@case()
def bash_magic():
    """%%bash and what it leaves."""
    return notebook("%%bash\necho out\necho err >&2", "%%bash --out got\necho caught", "got")


@case()
def shell_escape():
    """!cmd."""
    return notebook("!echo from the shell", "x = !echo caught\nx", "!exit 3", "_exit_code")


@case()
def magics():
    """Line and cell magics."""
    return notebook(
        "%%capture c\nprint('captured')", "c.stdout", "%%writefile made.txt\nline", "%cat made.txt",
        "%env SEGUE_JUDGE=1", "%%html\n<b>x</b>", "%%javascript\nlet a;", "%%latex\n$x$"
    )


@case(files={"data.txt": "from a file\n"})
def working_directory():
    """The working directory is the notebook's own."""
    return notebook("print(open('data.txt').read())", "import os\nos.path.exists('pipeline.json')")


@case()
def writes_a_file_and_reads_it():
    """Two cells share the directory."""
    return notebook("open('made.txt', 'w').write('é')", "open('made.txt').read()")


@case(kernel="bash")
def bash_kernel():
    """Another language on another kernel."""
    return notebook("echo hello", "x=5; echo $x", "echo err >&2", kernel="bash")


@case()
def history_is_kept_in_memory():
    """In and Out of the session."""
    return notebook("1", "In", "Out[1]", "_1")


@case()
def async_cell():
    """Top-level await."""
    return notebook("import asyncio\nawait asyncio.sleep(0)\nprint('awaited')", "await asyncio.sleep(0, 5)")


@case()
def rich_traceback_kept_by_tag():
    """A library's own traceback as display output, then an error that the tag allows."""
    return notebook(
        code(
            "from IPython.core.ultratb import VerboseTB\nimport IPython\n"
            "%xmode Verbose\ndef f(x):\n    return 1 / x\nf(0)", "raises-exception"
        ),
        code("%xmode Minimal\nf(0)", "raises-exception"),
    )


@case()
def stdout_replaced():
    """redirect_stdout keeps text away from the cell."""
    return notebook(
        "import contextlib, io\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n"
        "    print('away')\nb.getvalue()"
    )


@case()
def long_running_with_gaps():
    """Output that comes in pieces over time."""
    return notebook("import time\nfor i in range(4):\n    print(i)\n    time.sleep(0.3)")


# ----------------------------------------------------------------------- forms that a notebook file takes


def _minor(minor):
    return notebook(markdown("m"), "print('x')", "1 + 1", raw("r"), minor=minor)


@case()
def format_4_0():
    """The oldest minor version."""
    return _minor(0)


@case()
def format_4_1():
    """4.1."""
    return _minor(1)


@case()
def format_4_2():
    """4.2."""
    return _minor(2)


@case()
def format_4_3():
    """4.3."""
    return _minor(3)


@case()
def format_4_4():
    """4.4, the last without ids."""
    return _minor(4)


@case()
def format_4_5_without_ids():
    """4.5 requires ids: the executed copy has them."""
    return notebook("1", markdown("m"), "2", ids=None)


@case()
def format_4_5_duplicate_ids():
    """Ids must be unique: the executed copy's are."""
    return notebook("1", markdown("m"), "2", ids="same")


@case()
def unknown_metadata_kept():
    """Metadata that nobody knows stays, at every level."""
    cell = code("1", "a", "b", own={"z": [1, {"y": None}], "a": "é\n"}, collapsed=False,
                jupyter={"source_hidden": True})
    return notebook(cell, metadata={"own": {"b": [], "a": {}}, "authors": [{"name": "é"}], "toc": True})


@case()
def old_outputs_are_replaced():
    """Stored outputs of executed cells go, also when the cell shows nothing now."""
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}
    display = {"output_type": "display_data", "data": {"text/plain": "old"}, "metadata": {}}
    return notebook(
        code("print('new')", outputs=[stream("old\n"), error], execution_count=44),
        code("x = 1", outputs=[display], execution_count=45),
        code("x", outputs=[stream("a"), stream("b", "stderr")], execution_count=46),
    )


@case()
def old_execution_times_are_replaced():
    """Stored timing of an earlier execution."""
    return notebook(code("1", execution={"iopub.status.busy": "2001-01-01T00:00:00.000Z", "own": 1}))


@case()
def old_language_info_is_replaced():
    """language_info comes from the kernel, whole."""
    return notebook("1", metadata={"language_info": {"name": "klingon", "version": "0", "own": True}})


@case()
def kernelspec_kept():
    """The notebook's kernelspec is not rewritten."""
    spec = {"display_name": "My Python", "language": "python", "name": "python3", "own": 1}
    return notebook("1", metadata={"kernelspec": spec})


@case()
def kernelspec_missing():
    """A notebook that names no kernel: the step's."""
    return notebook("1", kernel=None)


@case()
def trusted_and_signature_are_dropped():
    """What nbformat strips when it writes."""
    cell = code("1", trusted=True, own=1)
    return notebook(cell, metadata={"signature": "sha", "orig_nbformat": 3, "orig_nbformat_minor": 0})


@case()
def compact_file():
    """A file without a line break, with escapes, strings instead of lists: rewritten as usual."""
    return json.dumps(notebook(code("print('é 😀')\n1"), markdown("a\nb é")))


@case()
def indented_by_four():
    """A file of another formatter, keys in another order, no newline at the end."""
    built = notebook("print(1)\nprint(2)", markdown("x"))
    return json.dumps(dict(reversed(built.items())), indent=4)


@case()
def windows_line_ends_and_bom():
    """Carriage returns between the tokens of the file."""
    return text_of(notebook("print(1)\nprint(2)")).replace("\n", "\r\n")


@case(exact_floats=False, stable=False)
def unusual_numbers_in_metadata():
    """Numbers in spellings of their own keep their value."""
    text = text_of(notebook("1", metadata={"own": "NUMBERS"}))
    return text.replace('"NUMBERS"', "[1.0E5, 1e2, -0, 0.10, 12345678901234567890123]")


@case()
def source_as_uneven_lists():
    """A list of strings that are no lines is joined first."""
    built = notebook("", markdown(""))
    built["cells"][0]["source"] = ["pri", "nt('a", "b')\n", "\n1"]
    built["cells"][1]["source"] = ["a", "\nb\nc", "\n"]
    return json.dumps(built, indent=1) + "\n"


@case()
def stored_outputs_of_all_kinds_are_kept():
    """A skipped cell with every output type, as lists and as strings."""
    outputs = [
        stream("a\nb\n"),
        {"output_type": "display_data", "metadata": {"m": {}}, "data": {
            "text/html": "<b>\n</b>", "image/png": PNG + "\n", "image/svg+xml": "<svg>\n</svg>",
            "application/json": {"l": ["x\ny", "z"]}, "application/javascript": "a\nb"}},
        {"output_type": "execute_result", "execution_count": 3, "metadata": {},
         "data": {"text/plain": ["1\n", "2"]}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["a\nb", "c"]},
    ]
    return notebook(code("skipped", "skip", outputs=outputs, execution_count=3), "1")


@case()
def large_source():
    """A cell of three thousand lines."""
    return notebook("\n".join(f"x{i} = {i}" for i in range(3000)) + "\nx2999")


@case()
def two_hundred_cells():
    """Many small cells."""
    return notebook(*[f"x = {i}\nx" for i in range(200)])


# ------------------------------------------------------------------------------------- parameters


SHOW = "print(repr(alpha), repr(beta))"


@case(parameters={"alpha": 5})
def parameters_after_the_tagged_cell():
    """A cell is injected behind the one tagged parameters."""
    return notebook(
        "first = 1", code("alpha = 1\nbeta = 'default'", "parameters"), markdown("m"), SHOW
    )


@case(parameters={"alpha": 1, "beta": "new"})
def parameters_replace_the_injected_cell():
    """An injected-parameters cell of an earlier execution is replaced."""
    return notebook(
        code("alpha = 0\nbeta = 0", "parameters"), code("alpha = 77", "injected-parameters"), SHOW
    )


@case(parameters={"alpha": 1, "beta": 2})
def parameters_at_the_top():
    """No tagged cell: at the top."""
    return notebook(markdown("# title"), SHOW)


@case()
def parameters_none_given():
    """None given: nothing is injected, the defaults hold."""
    return notebook(code("alpha = 1\nbeta = 2", "parameters"), SHOW)


@case(
    parameters={
        "alpha": {"k": [1, 2.5, -3, None, True, False, "it's \"q\" \\ \n\t"], "é": "日本 😀"},
        "beta": "multi\nline \\ 'single' \"double\"",
    }
)
def parameters_of_every_type():
    """Values become Python: None, True, nested lists and dictionaries, quotes, all planes."""
    return notebook(code("alpha = beta = 0", "parameters"), SHOW)


@case(parameters={"alpha": 1e22, "beta": 2**70})
def parameters_of_unusual_size():
    """Large numbers reach the notebook whole."""
    return notebook(code("alpha = beta = 0", "parameters"), SHOW)


@case(pipeline_parameters={"alpha": "pipeline", "beta": "pipeline"}, parameters={"beta": "step"})
def parameters_of_pipeline_and_step():
    """The step's value wins over the pipeline's."""
    return notebook(code("alpha = beta = 0", "parameters"), SHOW)


@case(parameters={"alpha": 1, "beta": 2}, kernel="bash")
def parameters_for_bash():
    """Each language has its own spelling."""
    built = notebook(code("alpha=0; beta=0", "parameters"), "echo $alpha $beta", kernel="bash")
    built["metadata"]["kernelspec"]["language"] = "bash"
    return built


@case(parameters={"alpha": 5, "beta": 6})
def parameters_in_format_4_4():
    """An injected cell in a file whose cells have no ids."""
    return notebook(code("alpha = beta = 0", "parameters"), SHOW, minor=4)


@failing(2, "ZeroDivisionError", parameters={"alpha": 0})
def parameters_and_an_error():
    """The failing cell's index counts the injected cell."""
    return notebook(code("alpha = 1", "parameters"), "1 / alpha", "2")


@case(parameters={"two words": 1, "alpha": 1, "beta": 2})
def parameters_that_are_no_identifiers():
    """Names that are no identifier are left to the SDK."""
    return notebook(code("alpha = beta = 0", "parameters"), SHOW)
