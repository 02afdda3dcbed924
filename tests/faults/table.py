"""Every fault that the course is prepared for: what is broken, who meets it, what the one line says, its test.

`words` stand in the one line that the reader gets, or in what is printed when the fault must not stop anybody; no words
mean that the course goes on in silence. `test` is "file::function", the file seen from tests/. Tests in this folder fetch the words with `row(name)`.
"""

# ruff: noqa: E501 - one row a line

from dataclasses import dataclass

STUDENT, TEACHER, AUTHOR = "student", "instructor", "author"


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    broken: str
    who: str
    words: tuple[str, ...]
    test: str


SETUP, DATA, NET = "test_setup.py::", "test_data.py::", "test_downloads.py::"
DISK, ANSWER = "faults/test_fault_disk.py::", "faults/test_fault_answers.py::"
STOP, PLACE = "faults/test_fault_interrupts.py::", "faults/test_fault_places.py::"
KERNEL = "faults/test_fault_kernel.py::"
READ_ONLY = "Read-only file system"
FULL = "No space left on device"

FAULTS = [
    # --- installing: course.py
    Fault("old Python", "Python 3.10 starts course.py", STUDENT, ("3.11 or newer",), SETUP + "test_an_old_python_is_told_so"),
    Fault("no venv module", "Debian's Python without venv", STUDENT, ("python3-venv",), SETUP + "test_a_python_without_venv_is_told_what_to_install"),
    Fault("disk full before installing", "2 GB free, 7 needed", STUDENT, ("2.0 GB are free",), SETUP + "test_a_full_disk_is_found_before_anything_is_made"),
    Fault("installation fails", "no network in the middle of it", STUDENT, ("exit code 2", "network"), SETUP + "test_a_step_that_fails_is_named_and_can_be_tried_again"),
    Fault("installation interrupted", "Ctrl-C while packages arrive", STUDENT, ("Run the same command again",), SETUP + "test_an_interruption_is_one_line_and_leaves_no_stamp"),
    Fault("folder not writable", "the system refuses .venv", STUDENT, ("Permission denied",), SETUP + "test_what_the_system_refuses_is_one_line"),
    Fault("environment of another Python", "Python was updated", STUDENT, ("removing .venv",), SETUP + "test_an_environment_of_another_python_is_made_anew"),
    Fault("unknown option of clean", "clean --all", STUDENT, ("--venv",), SETUP + "test_clean_removes_what_the_tools_made_and_nothing_else"),
    # --- packages and devices
    Fault("old torch", "torch 1.13 in the kernel", STUDENT, ("is too old: the course needs 2.15 or newer", "course.py lab"), "test_session.py::test_an_old_torch_is_refused"),
    Fault("old torch, start page", "the look at the machine finds it", STUDENT, ("needs 2.15 or newer",), "test_start.py::test_an_old_torch_is_named_with_its_cure"),
    Fault("no ipywidgets", "the package is gone", STUDENT, ("ipywidgets not installed", "course.py lab"), PLACE + "test_a_missing_package_is_told_by_the_setup_cell"),
    Fault("no tensorboard", "the package is gone", STUDENT, ("tensorboard not installed", "course.py lab"), PLACE + "test_a_missing_package_is_told_by_the_setup_cell"),
    Fault("no CUDA card", 'device = "cuda" on a laptop', STUDENT, ("is not on this machine; choose one of",), "test_session.py::test_a_device_that_is_not_there_is_named_with_the_choices"),
    Fault("no display", "a server without a screen, MPLBACKEND=TkAgg", STUDENT, ("drawn",), DISK + "test_no_display"),
    # --- shipped data
    Fault("data file missing", "a photograph was deleted", STUDENT, ("is missing",), DATA + "test_missing_file"),
    Fault("data file half-written", "100 bytes of it arrived", STUDENT, ("is damaged: it has", "bytes instead of"), DATA + "test_empty_or_truncated_file"),
    Fault("data file changed", "one byte is another", STUDENT, ("is damaged",), DATA + "test_one_changed_byte_of_a_file_that_was_loaded_before"),
    Fault("folder for a data file", "digits.npz is a folder", STUDENT, ("data/digits.npz",), DATA + "test_a_folder_in_the_place_of_a_file"),
    Fault("own picture among the banknotes", "my note.JPG", STUDENT, ("is not one of the course's",), DATA + "test_a_strange_picture_among_the_banknotes"),
    Fault("checksums damaged", "checksums.json is cut", STUDENT, ("data/checksums.json is damaged",), DATA + "test_damaged_checksums"),
    Fault("data folder missing", "COURSE_DATA names nothing", STUDENT, ("set it right or unset it",), DATA + "test_missing_folder_says_who_named_it"),
    Fault("COURSE_DATA is a file", "it names digits.npz itself", STUDENT, ("is missing", "COURSE_DATA names it"), PLACE + "test_course_data_that_is_a_file"),
    Fault("syllabus missing", "notebooks/syllabus.yml was deleted", STUDENT, ("git restore notebooks",), "test_start.py::test_a_missing_syllabus_is_one_clear_line"),
    # --- downloads
    Fault("no network", "no name is resolved", STUDENT, ("Temporary failure in name resolution",), NET + "test_without_a_network"),
    Fault("server away", "nobody listens there", STUDENT, ("refused",), NET + "test_nothing_listens"),
    Fault("connection cut", "half an archive arrives", STUDENT, ("the connection broke off after",), NET + "test_whole_or_nothing"),
    Fault("login page", "a hotel's page comes as the archive", STUDENT, ("wrong checksum: another file came as",), NET + "test_whole_or_nothing"),
    Fault("disk full while downloading", "half an archive fits", STUDENT, ("was not stored", FULL), NET + "test_no_space_left"),
    Fault("cache not writable", "mkdir is refused", STUDENT, ("cannot be written (Permission denied)",), NET + "test_a_folder_without_the_right_to_write"),
    Fault("cache damaged", "an unpacked file changed", STUDENT, ("is damaged (", "delete it and call again"), NET + "test_damage_is_noticed_and_the_folder_named"),
    Fault("download interrupted", "Ctrl-C in the middle", STUDENT, ("KeyboardInterrupt",), NET + "test_an_interrupt_in_the_middle_leaves_nothing"),
    # --- a disk that is full, a course that is read-only
    Fault("disk full, checkpoint", "the new one is larger than the disk", STUDENT, ("run.pt cannot be written", FULL), DISK + "test_a_full_disk"),
    Fault("disk full, table of grades", "the CSV does not fit", TEACHER, ("table.csv was not written", FULL), DISK + "test_a_full_disk"),
    Fault("read-only course, first cells", "setup and data from a read-only mount", STUDENT, ("ready: torch", "5000 digits"), DISK + "test_a_read_only_course"),
    Fault("read-only course, download", "data/cache cannot be made", STUDENT, ("was not stored", READ_ONLY), DISK + "test_a_read_only_course"),
    Fault("read-only course, checkpoint", "saved beside the notebook", STUDENT, ("run.pt cannot be written", READ_ONLY), DISK + "test_a_read_only_course"),
    Fault("read-only course, table of grades", "--csv into the course", TEACHER, ("table.csv cannot be written", READ_ONLY), DISK + "test_a_read_only_course"),
    Fault("read-only course, building", "the notebook cannot be stored", AUTHOR, ("the old notebook is whole", READ_ONLY), DISK + "test_a_read_only_course"),
    # --- checkpoints
    Fault("checkpoint missing", "another name", STUDENT, ("no.pt is not there",), "test_checkpoints.py::test_missing_files_and_folders_are_told_in_one_line"),
    Fault("checkpoint half-written", "1, 10, 50, 99 per cent of it", STUDENT, ("run.pt is damaged",), "test_checkpoints.py::test_a_damaged_file_is_told_in_one_line"),
    Fault("checkpoint with objects", "it could run code", STUDENT, ("plain data",), "test_checkpoints.py::test_objects_that_could_run_code_are_refused"),
    Fault("checkpoint is a folder", "the path of the folder was given", STUDENT, ("cannot be read", "look at the path"), DISK + "test_a_checkpoint_that_cannot_be_opened"),
    Fault("checkpoint not readable", "another user's file", STUDENT, ("cannot be read (Permission denied)",), DISK + "test_a_checkpoint_that_cannot_be_opened"),
    Fault("killed while saving", "twenty kills", STUDENT, (), "test_kill.py::test_twenty_kills_lose_nothing"),
    # --- where the course lies, where it is started
    Fault("folder with spaces and Chinese", "my course 课程, a file missing in it", STUDENT, ("run 一.pt is not there",), PLACE + "test_a_path_with_spaces_and_chinese"),
    Fault("working directory deleted", "the terminal's folder is gone", STUDENT, ("5000 digits",), PLACE + "test_a_working_directory_that_is_gone"),
    Fault("port of TensorBoard busy", "another program has it", STUDENT, ("is in use by another program",), "test_board.py::test_the_server_shows_what_was_written"),
    Fault("port of JupyterLab busy", "another JupyterLab has it", STUDENT, ("already in use",), PLACE + "test_a_port_of_jupyterlab_that_is_busy"),
    Fault("TensorBoard does not start", "its program ends at once", STUDENT, ("TensorBoard ended at once",), "test_board.py::test_no_child_is_left_when_the_start_fails"),
    Fault("log folder missing", "board.read of another folder", STUDENT, ("is missing; give the log_dir",), "test_board.py::test_bad_folders_are_named_in_one_line"),
    # --- kernels and interrupts
    Fault("kernel killed, lesson run again", "no setup since the restart", STUDENT, ("NameError", "is not defined"), KERNEL + "test_a_kernel_killed_in_the_middle"),
    Fault("cell interrupted, real kernel", "the stop button inside a Recorder", STUDENT, ("KeyboardInterrupt",), KERNEL + "test_a_cell_that_is_interrupted"),
    Fault("cells run twice", "every cell of the course", STUDENT, (), "notebooks/test_lessons.py::test_cells_run_twice_in_a_row"),
    Fault("lessons out of order", "each alone after the first cells", STUDENT, (), "notebooks/test_lessons.py::test_lessons_run_alone"),
    Fault("interrupt, recorder", "Ctrl-C in the network", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_leaves_the_network_as_it_was"),
    Fault("interrupt, training", "Ctrl-C in train_epoch", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_leaves_the_network_as_it_was"),
    Fault("interrupt, evaluation", "Ctrl-C in evaluate", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_leaves_the_network_as_it_was"),
    Fault("interrupt, Grad-CAM", "Ctrl-C in the network", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_leaves_the_network_as_it_was"),
    Fault("interrupt, check", "Ctrl-C in the student's function", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_in_a_check_gives_everything_back"),
    Fault("interrupt, checkpoint", "Ctrl-C before the rename", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_while_saving_keeps_the_old_file"),
    Fault("interrupt, TensorBoard", "Ctrl-C while it starts", STUDENT, ("KeyboardInterrupt",), STOP + "test_an_interrupt_leaves_no_server"),
    # --- answers
    Fault("answer raises", "a method that is not there", STUDENT, ("your function stopped in line 3", "AttributeError"), ANSWER + "test_what_a_function_does"),
    Fault("answer of the wrong type", "a list for a tensor", STUDENT, ("should be a Tensor", "list"), ANSWER + "test_what_a_function_does"),
    Fault("answer returns nothing", "the return is missing", STUDENT, ("not attempted yet", "its return is missing"), ANSWER + "test_what_a_function_does"),
    Fault("answer leaves Python", "sys.exit in it", STUDENT, ("your function stopped in line 2", "SystemExit"), ANSWER + "test_what_a_function_does"),
    Fault("answer calls itself", "recursion without end", STUDENT, ("your function stopped", "RecursionError"), ANSWER + "test_what_a_function_does"),
    Fault("answer with a long error", "a message of many lines", STUDENT, ("your function stopped in line 2", "ValueError: first"), ANSWER + "test_what_a_function_does"),
    Fault("answer is no function", "it was called already", STUDENT, ("pass it without ()",), ANSWER + "test_what_a_function_does"),
    Fault("check called wrongly", "one answer too many", STUDENT, ("takes 1 answer(s)", "restore its line"), ANSWER + "test_a_check_with_one_answer_too_many"),
    # --- grading
    Fault("answer loops for ever", "while True in a student's cell", TEACHER, ("took longer than",), "test_grade.py::test_every_kind_of_notebook_gets_its_row"),
    Fault("answer ends the kernel", "os._exit in a student's cell", TEACHER, ("the kernel ended in cell 9",), "test_grade.py::test_every_kind_of_notebook_gets_its_row"),
    Fault("check edited", "print of a tick in its place", TEACHER, ("its check cell was edited",), "test_grade.py::test_every_kind_of_notebook_gets_its_row"),
    Fault("notebook is no JSON", "a picture called .ipynb", TEACHER, ("is not JSON",), "test_grade.py::test_a_broken_notebook_is_said_so_and_stops_no_other"),
    Fault("unknown file to grade", "a name that is not there", TEACHER, ("is not there; give notebooks",), "test_grade.py::test_an_unknown_file_an_empty_folder_and_no_course"),
    Fault("table of grades is there", "--csv of last week", TEACHER, ("is there already",), "test_grade.py::test_a_table_that_is_there_is_not_written_over"),
    Fault("live notebook typed in", "it would be built again", TEACHER, ("changed by hand",), "test_live.py::test_what_was_typed_is_not_lost"),
    Fault("unknown week of slides", "slides week99", TEACHER, ("week99",), "test_slides.py::test_unknown_week_is_one_line"),
    # --- building notebooks
    Fault("cell raises while building", "1 / 0 in the text", AUTHOR, ("fails: ZeroDivisionError",), "test_build.py::test_an_error_names_the_cell_and_leaves_the_old_notebook"),
    Fault("cell never ends while building", "the kernel sleeps or dies", AUTHOR, ("takes longer than", "its kernel died"), "test_build.py::test_a_cell_that_does_not_come_back_is_named"),
]  # fmt: skip


def row(name: str) -> Fault:
    """The row of that name."""
    return next(fault for fault in FAULTS if fault.name == name)


def rows(test: str) -> list[Fault]:
    """The rows that a test function of this folder does, in order; the name of the function is enough."""
    return [fault for fault in FAULTS if fault.test.endswith("::" + test)]
